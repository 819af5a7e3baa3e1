"""While a page is updated, nothing moves that the viewer may be reading or about to click."""

from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Route, expect

from dashboard.acting import possible
from dashboard.outcome import Reading
from dashboard.pages import Shown, saga_page
from dashboard.story import Json
from tests.browser.conftest import OpenViewer
from tests.browser.viewer import NARROW, WIDE, shifts
from tests.unit.dashboard.recorded import load, reading_of

NOTHING_YET = Reading([], [], [], None)
HIGH = 3000  # px, so that all of the page is seen


def growing(name: str) -> list[str]:
    """Return the page of a recorded saga after each entry of its timeline, and at the end."""
    told = load(name)
    items = told["timeline"]["items"]
    steps = [{**step, "status": "running"} for step in told["saga"]["steps"]]
    begun = {"status": "running", "turned_back": False, "steps": steps, "ended_at": None, "order_id": None}
    running = {**told["saga"], **begun}
    pages = [_page(running, items[:count], NOTHING_YET) for count in range(1, len(items))]
    return [*pages, _page(told["saga"], items, reading_of(told["outcome"]))]


def _page(saga: Json, items: list[Json], reading: Reading) -> str:
    now = datetime.fromisoformat(items[-1]["finished_at"]) + timedelta(milliseconds=5)
    return saga_page(saga, items, reading, now, Shown(possible=possible(saga)))


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("name", ["orchestrated-completed", "choreographed-completed"])
def test_nothing_moves_on_the_page_of_a_saga_that_goes_on(viewer: OpenViewer, name: str, width: int) -> None:
    pages = growing(name)
    saga = load(name)["saga"]
    path = f"/sagas/{saga['saga_pattern']}/{saga['saga_id']}"
    now_shown = pages[:1]

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body=now_shown[0])

    one = viewer(width=width)
    one.context.route(lambda url: path in url, answer)
    page = one.open(path)
    page.set_viewport_size({"width": width, "height": HIGH})
    page.evaluate("document.fonts.ready")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate("window.shifts.length = 0")
    for now_shown[0] in pages:
        with page.expect_response(lambda response: path in response.url):
            page.evaluate("htmx.trigger(document.getElementById('live'), 'news')")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".title .badge")).to_contain_text("completed")
    moved = shifts(page)
    assert moved == [], "\n".join(moved)
