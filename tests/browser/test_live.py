"""Pages that follow changes, when connections are cut, messages are missing, or all streams are taken."""

from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Page, Request, Route, expect

from shared.testing import wait_until
from tests.browser.cable import Cable
from tests.browser.conftest import OpenViewer
from tests.browser.sagas import STREAMS
from tests.browser.test_watching import NOT_ANSWERED, held, stand
from tests.e2e.faulty import lift, switch
from tests.e2e.shop import HANG_SECONDS, ORCHESTRATED, PAGOS, Shop
from tests.system.running import DASHBOARD

__all__ = ["held", "switch"]

STREAM = "/live?after="
# Tabs tell each other what the stream says, so that a page can be overheard.
OVERHEAR = """() => {
  window.heard = new Promise((resolve) => {
    new BroadcastChannel("live").onmessage = ({ data }) => data.kind === "changed" && resolve(data.id);
  });
}"""


def until(page: Page, state: str) -> None:
    """Wait until the page shows this state of its connection."""
    expect(page.locator("body")).to_have_attribute("data-connection", state)


def position(stream: Request) -> str:
    """Return the id of the message after which the stream begins."""
    query = parse_qs(urlsplit(stream.url).query, keep_blank_values=True)
    return stream.all_headers().get("last-event-id") or query["after"][0]


def takes_place(url: str, places: ExitStack) -> bool:
    """Open a stream, which stays open as long as `places`; return whether there was a place for it."""
    answer = requests.get(url, stream=True, timeout=HANG_SECONDS)
    places.callback(answer.close)
    return answer.status_code == 200


@pytest.fixture
def cable(shop: Shop) -> Iterator[Cable]:
    with Cable(shop.system.url(DASHBOARD)) as made:
        yield made


def test_a_cut_connection_is_gone_on_with_after_the_last_message_and_nothing_is_missed(
    shop: Shop, held: None, cable: Cable, viewer: OpenViewer
) -> None:
    saga = shop.buy(shop.product())
    shop.until_status(saga, "running")
    one = viewer(url=cable.url)
    one.expect_in_console(*NOT_ANSWERED)
    streams: list[Request] = []
    one.context.on("request", lambda request: streams.append(request) if STREAM in request.url else None)
    page = one.open(f"/sagas/{ORCHESTRATED}/{saga}")
    until(page, "live")
    page.evaluate(OVERHEAR)
    shop.buy(shop.product())
    assert page.evaluate("window.heard")  # waits for a message, after which the page goes on
    first = streams[-1]
    cable.cut()
    until(page, "away")
    lift(shop, PAGOS)
    shop.until_status(saga, "completed")
    stand(page, "running")
    cable.mend()
    until(page, "live")
    stand(page, "completed")
    assert position(streams[-1]) != position(first)


def test_without_a_place_for_a_stream_the_page_says_so_and_asks_by_itself(
    shop: Shop, held: None, viewer: OpenViewer
) -> None:
    saga = shop.buy(shop.product())
    shop.until_status(saga, "running")
    url = shop.system.url(DASHBOARD) + STREAM
    one = viewer()
    one.expect_in_console("503")
    with ExitStack() as others:
        for _ in range(STREAMS):  # all of them; the dashboard takes a moment to notice which were closed before
            wait_until(lambda: takes_place(url, others), "there is a place for another stream", HANG_SECONDS)
        refused = others.enter_context(requests.get(url, stream=True, timeout=HANG_SECONDS))
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        page = one.open(f"/sagas/{ORCHESTRATED}/{saga}")
        until(page, "full")
        expect(page.get_by_text("too many viewers")).to_be_visible()
        lift(shop, PAGOS)
        stand(page, "completed")

    with ExitStack() as own:
        wait_until(lambda: takes_place(url, own), "those who left have left their places", HANG_SECONDS)


def test_a_page_that_is_told_that_messages_are_missing_loads_its_contents_anew(shop: Shop, viewer: OpenViewer) -> None:
    saga = shop.buy(shop.product())
    shop.until_status(saga, "completed")
    one = viewer()
    path = f"/sagas/{ORCHESTRATED}/{saga}"
    page = one.open(path)
    until(page, "live")
    page.close()

    def long_ago(route: Route) -> None:
        route.continue_(url=route.request.url.partition("after=")[0] + "after=1,1")

    urls: list[str] = []
    one.context.route(lambda url: STREAM in url, long_ago)
    one.context.on("request", lambda request: urls.append(request.url) if request.url.endswith(path) else None)
    page = one.open(path)
    until(page, "live")
    wait_until(lambda: page.evaluate("0") or len(urls) > 1, "it asks for its contents again", HANG_SECONDS)
    assert "live" in page.evaluate("document.body.dataset.connection")


def test_eight_tabs_of_a_browser_share_one_stream(shop: Shop, viewer: OpenViewer) -> None:
    """Browsers keep six connections to a server."""
    one = viewer()
    streams: list[str] = []
    one.context.on("request", lambda request: streams.append(request.url) if STREAM in request.url else None)
    tabs = [one.open("/") for _ in range(8)]
    for tab in tabs:
        until(tab, "live")
    assert len(streams) == 1
