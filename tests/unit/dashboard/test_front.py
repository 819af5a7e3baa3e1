"""The front page: what it reads, in parallel and once for all viewers, and what it shows of failed reads."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard import pages
from dashboard.app import create_app
from dashboard.service_client import READERS
from dashboard.shared_readings import SharedReadings
from shared.testing import wait_until
from tests.unit.dashboard.shop import (
    NOBODY,
    ORCHESTRATED,
    OTHER,
    PAGE,
    SAGA,
    Services,
    said,
    settings_of,
    stats,
)

TEMPLATES = sorted((Path(pages.__file__).parent / "templates").glob("*.html"))
HANG_SECONDS = 60.0  # so that nothing hangs
EMPTY: dict[str, Any] = {"items": [], "next_cursor": None}
APIS = (("orchestrator", "/saga", "/saga"), ("choreography", "/saga/choreography", "/saga/choreography/status"))


def nothing_fits(services: Services, query: str) -> None:
    for name, _, listed in APIS:
        services[name].answers[f"{listed}?{query}&limit=50"] = EMPTY


def read(services: Services, path: str) -> int:
    """Count the orchestrator's requests for this path."""
    return [each for _, each, *_ in services["orchestrator"].requests].count(path)


def test_live_sagas_are_counted_however_many_there_are_and_it_is_said_since_when_the_others_ended(
    viewer: FlaskClient, services: Services
) -> None:
    told = stats(12.5, {"completed": 4_900, "compensated": 100}, running=1_234, stuck=2)
    services["orchestrator"].answers["/saga/stats?seconds=3600"] = told
    page = said(viewer, "/")
    assert "Orchestrated live now, and ended within the last 12.5 s" in page
    for words in ("1,234 running", "2 stuck", "4,900 completed", "100 compensated"):
        assert words in page
    listed = [path for _, path, *_ in services["orchestrator"].requests if "stats" not in path]
    assert listed == ["/saga?limit=50"], "nothing is listed to be counted"


def test_more_to_look_at_is_offered_where_none_of_the_newest_fits(viewer: FlaskClient, services: Services) -> None:
    """A service checks a bounded number of sagas against a second filter, and says where to continue."""
    nothing_fits(services, "status=stuck&user_id=ana")
    services["orchestrator"].answers["/saga?status=stuck&user_id=ana&limit=50"] = {**EMPTY, "next_cursor": SAGA}
    page = viewer.get("/?user=ana&status=stuck").text
    assert "None among the newest that were looked at" in page
    assert f'href="/?status=stuck&amp;user=ana&amp;before={SAGA}"' in page
    assert "No saga is like that" not in page


def test_a_list_that_could_not_be_read_is_not_called_empty(viewer: FlaskClient, services: Services) -> None:
    nothing_fits(services, "status=stuck")
    services["orchestrator"].answers["/saga?status=stuck&limit=50"] = (500, {"detail": "it <b>broke"})
    page = said(viewer, "/?status=stuck")
    assert "saga_orchestrator: it <b>broke, so its sagas are missing here" in page
    assert "No saga is like that" not in page
    assert "missing" not in said(viewer, "/?status=stuck&style=choreographed"), "the other style was not queried"


def test_a_filter_that_a_service_does_not_understand_is_refused_with_its_reason(
    viewer: FlaskClient, services: Services
) -> None:
    services["orchestrator"].answers["/saga?payment_method=shells&limit=50"] = (422, {"detail": "no such <b>method"})
    assert "no such <b>method" in said(viewer, "/?method=shells", 422)


def test_all_that_the_page_shows_is_read_at_the_same_time(viewer: FlaskClient, services: Services) -> None:
    together = threading.Barrier(6)

    def meet(answer: Any) -> Any:
        return lambda: (together.wait(5) and None) or answer

    for name, base, listed in APIS:
        for seconds in (60, 3600):
            services[name].answers[f"{base}/stats?seconds={seconds}"] = meet(stats())
        services[name].answers[f"{listed}?limit=50"] = meet(EMPTY)
    assert "No checkout yet" in said(viewer, "/")
    assert not together.broken


def test_a_service_that_does_not_answer_keeps_nobody_from_reading_the_others(services: Services) -> None:
    frozen = threading.Event()
    path = f"/saga/{NOBODY}"
    for end in ("", "/timeline"):
        services["orchestrator"].answers[path + end] = lambda: frozen.wait() and (404, {})
    app = create_app(settings_of(services, dashboard_read_seconds=HANG_SECONDS))

    def look() -> None:
        app.test_client().get(f"/sagas/orchestrated/{NOBODY}")

    waiting = [threading.Thread(target=look) for _ in range(40)]
    try:
        for each in waiting:
            each.start()
        wait_until(lambda: len(services["orchestrator"].requests) >= READERS, "it has all its readers", HANG_SECONDS)
        assert app.test_client().get(f"/sagas/choreographed/{OTHER}").status_code == 200
        assert all(each.is_alive() for each in waiting), "those who wait for the other one still do"
    finally:
        frozen.set()
        for each in waiting:
            each.join()


def test_a_page_does_not_wait_longer_for_a_service_that_sends_a_little_from_time_to_time(services: Services) -> None:
    """No single read of the socket takes long then: the limit is one of the whole page."""
    pagos = services["pagos"]
    pagos.answers[f"/api/v1/payments/saga/{ORCHESTRATED['saga']['cart_id']}"] = {"items": []}
    pagos.drips = True
    client = create_app(settings_of(services, dashboard_read_seconds=1)).test_client()
    assert "Money not known pagos cannot be reached" in said(client, PAGE)


def follow(viewer: FlaskClient) -> None:
    """Make the streams follow both feeds, as with an open stream."""
    for feed in viewer.application.extensions["streams"].feeds:
        feed.is_reachable, feed._thread = True, threading.current_thread()


def test_those_who_look_at_the_same_list_within_a_moment_share_what_is_read(
    viewer: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.routes.SHARED_SECONDS", HANG_SECONDS)
    follow(viewer)
    for _ in range(5):
        viewer.get("/")
    viewer.get("/?status=compensated")
    assert read(services, "/saga?limit=50") == 1
    assert read(services, "/saga?status=compensated&limit=50") == 1


def test_what_is_being_read_is_shared_by_those_who_ask_meanwhile() -> None:
    shared, begun, go_on = SharedReadings[str, int](), threading.Event(), threading.Event()

    def held() -> int:
        begun.set()
        return 7 if go_on.wait(HANG_SECONDS) else 0

    with ThreadPoolExecutor() as pool:
        first = pool.submit(shared.get, "key", held, 0)
        assert begun.wait(HANG_SECONDS)
        future, is_mine = shared._begun("key", 0)
        go_on.set()
        assert (first.result(), future.result(), is_mine) == (7, 7, False)
    assert shared.get("key", lambda: 9, 0) == 9


def test_while_nobody_is_told_of_changes_each_look_is_at_what_is_there_then(
    viewer: FlaskClient, services: Services
) -> None:
    viewer.get("/")
    viewer.get("/")
    assert read(services, "/saga?limit=50") == 2


def test_what_was_read_before_a_change_is_not_shown_after_it(viewer: FlaskClient, services: Services) -> None:
    follow(viewer)
    viewer.get("/")
    viewer.application.extensions["streams"].feeds[0].ring.add("01a2", (SAGA,))
    viewer.get("/")
    assert read(services, "/saga?limit=50") == 2


def test_the_page_knows_after_which_change_it_was_read_so_that_it_need_not_be_read_again(
    viewer: FlaskClient, services: Services
) -> None:
    streams = viewer.application.extensions["streams"]
    assert "data-after" not in viewer.get("/").text, "no feed was read yet"
    for feed, cursor in zip(streams.feeds, ("01a2", "01b3"), strict=True):
        feed.ring.begin(cursor)
    for path in ("/", PAGE):
        assert 'data-after="01a2,01b3"' in viewer.get(path).text
    with streams.news:
        joined = [feed.ring.number_at(cursor) for feed, cursor in zip(streams.feeds, ("01a2", "01b3"), strict=True)]
    assert None not in joined, "who begins there is not told to load the page again"


@pytest.mark.parametrize(
    "path", sorted((Path(pages.__file__).parent / "templates").glob("*.html")), ids=lambda it: it.stem
)
def test_no_page_asks_by_a_timer_of_its_own_which_would_go_on_where_nobody_looks(path: Path) -> None:
    template = path.read_text()
    assert "every " not in " ".join(re.findall('hx-trigger="([^"]*)"', template))
    assert template.count('hx-trigger="news"') == template.count("data-poll="), "the script asks, while the tab is seen"


def test_an_error_is_tried_again_where_that_can_help(viewer: FlaskClient, services: Services) -> None:
    services["orchestrator"].answers[f"/saga/{SAGA}"] = (503, {"detail": "not now"})
    page = viewer.get(f"{PAGE}?from=1").text
    assert f'hx-get="{PAGE}?from=1"' in page
    assert "comes back by itself" in page
    services["orchestrator"].answers[f"/saga/{SAGA}/retry"] = (503, {"detail": "not now"})
    posted = viewer.post(f"{PAGE}/retry", data={"reason": "x", "by": "y"})
    assert posted.status_code == 503
    assert "hx-get" not in posted.text
    assert "comes back by itself" not in posted.text
