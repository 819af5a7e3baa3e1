"""Pages of sagas with thousands of entries are small, and lead to every entry."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dashboard.listing import PAGE, Filters, StyleReading, listing
from dashboard.outcome import Reading
from dashboard.pages import Shown, saga_page, sagas_page
from dashboard.styles import STYLES
from tests.unit.dashboard.recorded import load
from tests.unit.dashboard.text import Text

ENTRIES = 2000
MOST_BYTES = 400_000  # a tenth of a second on a slow line without compression; a usual page has a tenth of it
NOW = datetime(2026, 11, 26, 23, tzinfo=UTC)
LONG = ("orchestrated-retried", "choreographed-undone")


def long_saga(name: str, entries: int = ENTRIES) -> dict[str, Any]:
    """Return a recorded saga whose entries are repeated, 7 ms after each other."""
    told = load(name)
    known = [item for item in told["timeline"]["items"] if item["outcome"] != "unknown"]
    began = datetime.fromisoformat(known[0]["started_at"])
    items = []
    for number in range(entries):
        item = {**known[number % len(known)]}
        starts = began + timedelta(milliseconds=7 * number)
        item |= {"started_at": starts.isoformat(), "finished_at": (starts + timedelta(milliseconds=5)).isoformat()}
        if item["kind"] == "event":
            item |= {"event_id": f"event {number}", "cause": f"event {number - 1}"}
        items.append(item)
    told["timeline"]["items"] = items
    return told


def page_of(told: dict[str, Any], first: int | None = None) -> str:
    unread = Reading(None, None, None, None)
    return saga_page(told["saga"], told["timeline"]["items"], unread, NOW, Shown(first=first))


def entries_of(page: str) -> list[str]:
    """Return the times of the entries on a page."""
    return re.findall(r'<details class="ev [^>]*><summary><span class="at">([^<]+)', page)


@pytest.mark.parametrize("name", LONG)
def test_however_long_a_saga_is_its_page_is_small(name: str) -> None:
    assert len(page_of(long_saga(name)).encode()) < MOST_BYTES


@pytest.mark.parametrize("name", LONG)
def test_every_entry_can_be_reached_from_part_to_part(name: str) -> None:
    told = long_saga(name, entries=500)
    seen: list[str] = []
    following: str | None = "1"
    while following is not None:
        page = page_of(told, int(following))
        seen += entries_of(page)
        later = re.search(r'href="[^"]+from=(\d+)[^"]*">later', page)
        following = later and later[1]
    assert len(seen) == 500
    assert "1 to 200 of 500 later last" in Text(page_of(told)).text


def test_the_link_to_where_it_went_wrong_leads_to_the_part_that_has_it() -> None:
    told = long_saga("orchestrated-retried")
    told["saga"]["status"] = "compensated"
    told["timeline"]["items"][1234] |= {"outcome": "refused", "detail": "HTTP 402: no"}
    link = re.search(r'href="[^"]*from=(\d+)#trouble"', page_of(told))
    assert link is not None
    assert 'id="trouble"' in page_of(told, int(link[1]))


def test_while_a_saga_runs_its_latest_entries_are_shown_and_afterwards_its_first() -> None:
    told = long_saga("orchestrated-retried")
    first, last = entries_of(page_of(told, 1)), entries_of(page_of(told, ENTRIES))
    assert entries_of(page_of(told)) == first
    told["saga"] |= {"status": "running", "ended_at": None}
    assert entries_of(page_of(told)) == last


@pytest.mark.parametrize("first", [-1, 0, 10**12])
def test_a_part_that_there_is_not_is_the_nearest_that_there_is(first: int) -> None:
    assert len(entries_of(page_of(long_saga("orchestrated-retried"), first))) == 200


def test_a_page_keeps_to_its_part_when_it_asks_again() -> None:
    assert re.search(r'hx-get="[^"]+\?from=201"', page_of(long_saga("orchestrated-retried"), 300))
    assert "?from=" not in page_of(load("orchestrated-retried"), 1)


def test_events_that_are_not_drawn_are_counted_where_they_are_left_out() -> None:
    text = Text(page_of(long_saga("choreographed-undone"))).text
    assert re.search(r"[\d,]+ events between are in the list below", text)


def test_marks_that_would_cover_each_other_are_drawn_as_one_that_counts_them() -> None:
    page = page_of(long_saga("orchestrated-retried"))
    assert re.search(r"<title>\d+ entries, the first: ", page)


def test_of_however_many_sagas_the_list_has_one_page_and_leads_on() -> None:
    saga = load("orchestrated-undone")["saga"]
    many = [{**saga, "saga_id": str(UUID(int=number))} for number in range(2 * PAGE, 0, -1)]
    readings = [StyleReading(style, style, many[:PAGE], many[PAGE]["saga_id"]) for style in STYLES]
    markup = sagas_page(listing(Filters(), readings), NOW)
    assert markup.count('<tr id="s-') == PAGE
    assert ">older</a>" in markup
    assert len(markup.encode()) < MOST_BYTES / 4
