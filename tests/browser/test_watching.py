"""Checkouts that are begun from a page, and watched while they run, whatever happens to the dashboard."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenViewer
from tests.browser.sagas import STYLES
from tests.e2e.faulty import Switch, lift, switch
from tests.e2e.shop import PAGOS, Shop
from tests.system.running import DASHBOARD

__all__ = ["switch"]

# What the browser and the script write to the console when a request gets no answer.
NOT_ANSWERED = ("Failed to load resource", "Failed to fetch")


@pytest.fixture
def held(switch: Switch) -> None:
    """Prevent payments in both styles until the faults of pagos are switched off."""
    switch(PAGOS, "unavailable", step="process_payment")
    switch(PAGOS, "pause_consumer")


def begin(page: Page, shop: Shop, method: str = "credit_card") -> None:
    """Check a cart out in both styles, from the page."""
    product = shop.product()
    page.goto("/compare")
    page.get_by_label("Product").select_option(str(product))
    page.get_by_label("Paid with").select_option(method)
    page.get_by_role("button", name="Check out in both styles").click()


def stand(page: Page, *words: str) -> None:
    """Wait until the badges have these texts."""
    expect(page.locator("main .badge")).to_contain_text(list(words))


def test_a_checkout_begun_from_the_page_runs_to_its_end_before_the_viewer_s_eyes(
    shop: Shop, held: None, viewer: OpenViewer
) -> None:
    one = viewer()
    page = one.open("/compare")
    begin(page, shop)
    stand(page, "running", "running")
    sides = [page.get_by_role("link", name=style.capitalize()).get_attribute("href") for style in STYLES]
    tabs = [page, *(one.open(str(side)) for side in sides)]
    for tab in tabs:
        tab.evaluate("window.neverLoadedAgain = true")
    stand(tabs[1], "running")
    stand(tabs[2], "running")
    lift(shop, PAGOS)
    stand(page, "completed", "completed")
    for tab in tabs[1:]:
        stand(tab, "completed")
        expect(tab.get_by_text("confirmed", exact=True)).to_be_visible()
    assert all(tab.evaluate("window.neverLoadedAgain") for tab in tabs)


@pytest.mark.parametrize("style", STYLES)
def test_two_viewers_see_the_same_end(shop: Shop, held: None, viewer: OpenViewer, style: str) -> None:
    saga = shop.buy(shop.product(), style=style)
    shop.until_status(saga, "running")
    pages = [viewer(theme=theme).open(f"/sagas/{style}/{saga}") for theme in ("light", "dark")]
    for page in pages:
        stand(page, "running")
    lift(shop, PAGOS)
    for page in pages:
        stand(page, "completed")


def test_eight_tabs_of_one_viewer_are_all_kept_up_to_date(shop: Shop, held: None, viewer: OpenViewer) -> None:
    """Browsers keep six connections to a host."""
    saga = shop.buy(shop.product())
    one = viewer()
    tabs = [one.open(f"/sagas/orchestrated/{saga}") for _ in range(8)]
    lift(shop, PAGOS)
    for tab in tabs:
        stand(tab, "completed")


def test_while_the_dashboard_is_away_the_page_says_so_and_goes_on_when_it_is_back(
    shop: Shop, held: None, viewer: OpenViewer
) -> None:
    saga = shop.buy(shop.product())
    one = viewer()
    one.expect_in_console(*NOT_ANSWERED)
    page = one.open(f"/sagas/orchestrated/{saga}")
    stand(page, "running")
    expect(page.get_by_text("no answer from the dashboard")).to_be_hidden()
    shop.system.kill(DASHBOARD)
    expect(page.get_by_text("no answer from the dashboard")).to_be_visible()
    lift(shop, PAGOS)
    shop.until_status(saga, "completed")
    stand(page, "running")
    shop.restart(DASHBOARD)
    stand(page, "completed")
    expect(page.get_by_text("no answer from the dashboard")).to_be_hidden()


def test_an_answer_that_is_no_page_leaves_the_page_as_it_is_and_is_told_until_there_is_one(
    shop: Shop, viewer: OpenViewer
) -> None:
    one = viewer()
    one.expect_in_console(*NOT_ANSWERED)
    page = one.open("/load")
    error = '<main id="live"><section class="error"><h1>Unexpected error</h1><p>its log says more</p></section></main>'
    page.route("**/load", lambda route: route.fulfill(status=500, content_type="text/html", body=error))
    expect(page.locator("#stale")).to_contain_text("Unexpected error. its log says more")
    expect(page.get_by_role("heading", name="A steady load")).to_be_visible()
    page.unroute("**/load")
    expect(page.locator("#stale")).to_be_hidden()


@pytest.mark.parametrize("path", ["/load", "/books", "/faults", "/operations", "/dead-letters", "/"])
def test_a_tab_that_nobody_sees_asks_for_nothing(shop: Shop, viewer: OpenViewer, path: str) -> None:
    page = viewer().context.new_page()
    page.clock.install()
    page.goto(path)
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    urls: list[str] = []
    kinds = {"document", "fetch", "xhr", "eventsource"}  # the page's own requests may still come
    page.on("request", lambda request: urls.append(request.url) if request.resource_type in kinds else None)
    page.clock.run_for(60_000)
    page.evaluate("0")
    assert urls == []
    with page.expect_request(f"**{path}"):
        page.evaluate(hide, False)
        page.clock.run_for(1_000)
