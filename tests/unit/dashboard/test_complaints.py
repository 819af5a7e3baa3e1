"""Complaints of users of similar tools, each as a claim about the pages; named by the tool's issue."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.acting import possible
from dashboard.letter_filter import LetterFilter
from dashboard.listing import Filters, StyleReading, listing
from dashboard.pages import dead_letters_page, redrive_page, sagas_page
from dashboard.parked import parked
from dashboard.words import STATUSES, due
from tests.unit.dashboard.recorded import NAMES, load, page_of
from tests.unit.dashboard.text import Text

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
STATS = {
    "per_second": 0.1,
    "latency_ms": {"p50": 80.0, "p95": 90.0},
    "books_open_ms": {"p50": 60.0, "p95": 70.0},
}
EMPTY = {"reason": "", "by": "", "error": "", "needs_token": False}
RETRYING = {
    "status": "running", "retrying": True, "step": "process_payment", "direction": "action", "attempts": 4,
    "error": "HTTP 503",
}  # fmt: skip
NO_STEP = {**RETRYING, "step": None, "direction": None, "attempts": 0, "error": None}


def summary(**changed: Any) -> dict[str, Any]:
    """Return a recorded saga as a list shows it."""
    saga = {name: value for name, value in load("orchestrated-declined")["saga"].items() if name != "steps"}
    return {**saga, "retrying": False, "next_try_at": None, **changed}


def list_of(*sagas: dict[str, Any], filters: Filters | None = None, stats: Any = STATS) -> str:
    """Return the front page with these sagas."""
    reading = StyleReading("orchestrated", "saga_orchestrator", sagas, stats=stats)
    other = StyleReading("choreographed", "saga_choreography", [], stats=stats)
    return sagas_page(listing(filters or Filters(), [reading, other]), NOW)


def said(page: str) -> str:
    return Text(page).text


def parts(page: str) -> list[tuple[str, str]]:
    """Return the headings of a saga's page, and its banner, in order."""
    return re.findall(r'class="(banner)|<h2 class="part" id="(\w+)"', page)


def order_of(page: str, *marks: str) -> list[int]:
    return [page.index(mark) for mark in marks]


def test_what_is_being_retried_can_be_filtered_and_is_told_in_the_list() -> None:
    """temporalio/ui#884."""
    page = list_of(summary(**RETRYING), filters=Filters(retrying="true"))
    assert '<input type="checkbox" name="retrying" value="true" checked>' in page
    assert "↻ Take payment, 4 attempts" in said(page)


@pytest.mark.parametrize("status", ["compensating", "stuck"])
def test_a_compensation_that_is_being_retried_goes_by_its_own_name_in_the_list(status: str) -> None:
    """Also of a stuck saga that an operator turned back, which has no failed step."""
    saga = summary(**{**RETRYING, "status": status, "direction": "compensation", "failed_step": None})
    assert "↻ Refund, 4 attempts" in said(list_of(saga))


@pytest.mark.parametrize(
    ("style", "words"),
    [("choreographed", "↻ Its events were sent again"), ("orchestrated", "↻ A step of another version")],
)
def test_a_saga_that_is_retried_and_at_no_known_step_names_none(style: str, words: str) -> None:
    """The choreographed one has done all steps and not ended; the orchestrated one is of another version."""
    page = said(list_of(summary(**NO_STEP, saga_pattern=style, next_try_at=(NOW + timedelta(seconds=4)).isoformat())))
    assert f"{words}, next in 4 s" in page
    assert "None, " not in page


@pytest.mark.parametrize("name", ["orchestrated-retried", "orchestrated-retried-compensated"])
def test_every_attempt_is_told_and_not_the_last_alone(name: str) -> None:
    """temporalio/web#365."""
    told = load(name)
    attempts = [entry for entry in told["timeline"]["items"] if entry["kind"] == "attempt"]
    assert len(attempts) > 10
    page = page_of(told)
    lines = page[page.index('id="all"') :].count('<details class="ev ')
    runs = page.count('<details class="ev run ')
    assert lines - runs == len(told["timeline"]["items"])


def test_each_retry_and_the_time_between_has_its_place_on_the_scale() -> None:
    """PrefectHQ/prefect#8535."""
    told = load("orchestrated-retried")
    lost = [entry for entry in told["timeline"]["items"] if entry["outcome"] == "unknown"]
    page = page_of(told)
    first_drawing = page[page.index('class="drawing scale"') : page.index('class="drawing folded"')]
    assert len(re.findall(r"attempt \d+: no answer", first_drawing)) == len(lost)
    assert re.search(r"Waits before the next attempt at Take payment · after [\d.]+ s, for [\d.]+ m?s", first_drawing)


@pytest.mark.parametrize("name", ["orchestrated-declined", "choreographed-declined"])
def test_a_failure_says_where_it_was_and_opens_to_the_request_and_its_answer(name: str) -> None:
    """temporalio/ui#968."""
    page = page_of(load(name))
    trouble = page[page.index('id="trouble"') :]
    entry = said(trouble[: trouble.index("</details>")])
    assert "the card's issuer declined it" in entry
    assert "process_payment" in entry


def test_a_reason_to_wait_is_gone_from_the_banner_once_the_saga_went_on() -> None:
    """temporalio/ui#2262."""
    told = load("orchestrated-retried")
    waiting = dict(told, timeline={"items": until_first_lost(told)}, saga={**told["saga"], "status": "running"})
    assert "Waiting for" in said(page_of(waiting))
    assert "Waiting for" not in said(page_of(told))


def until_first_lost(told: dict[str, Any]) -> Sequence[dict[str, Any]]:
    items = told["timeline"]["items"]
    lost = next(number for number, entry in enumerate(items) if entry["outcome"] == "unknown")
    found: list[dict[str, Any]] = items[: lost + 1]
    return found


def test_retries_that_are_one_row_say_how_many_they_are_how_long_they_took_and_why() -> None:
    """temporalio/ui#1320: a closed row must not look as if nothing moved."""
    page = page_of(load("orchestrated-retried"))
    row = page[page.index('<details class="ev run ') :]
    assert re.search(r"\d+ requests, attempts \d+ to \d+ \d+ × .+ [\d.]+ m?s", said(row[: row.index("</summary>")]))  # noqa: RUF001


@pytest.mark.parametrize(
    ("status", "turned_back", "offered"),
    [
        ("running", False, ["compensate", "retry"]),
        ("compensating", True, ["retry"]),
        ("stuck", False, ["compensate", "retry"]),
        ("stuck", True, ["retry"]),
        ("completed", False, ["compensate"]),
        ("compensated", True, []),
    ],
)
def test_what_waits_can_be_tried_now_and_nothing_is_offered_in_vain(
    status: str, turned_back: bool, offered: list[str]
) -> None:
    """temporalio/ui#542."""
    assert possible({"status": status, "turned_back": turned_back, "steps": []}) == offered


@pytest.mark.parametrize(("seconds", "words"), [(-5, "now"), (0.4, "now"), (4, "in 4 s"), (200, "in 3 min 20 s")])
def test_the_next_try_is_the_service_s_own_time_and_never_in_the_past(seconds: float, words: str) -> None:
    """temporalio/ui#747: a time computed by the page contradicts it."""
    at = NOW + timedelta(seconds=seconds)
    assert due(at, NOW) == words
    page = list_of(summary(**RETRYING, next_try_at=at.isoformat()))
    assert f"4 attempts, next {words}" in said(page)
    assert f'<time datetime="{at.isoformat()}"' in page


def test_sagas_are_listed_with_their_status_and_lead_to_their_pages() -> None:
    """Particular/ServicePulse#2690, MassTransit#399: one need not know a message first."""
    sagas = [
        summary(saga_id=f"01a21726-0000-7000-8000-00000000000{number}", status=each)
        for number, each in enumerate(STATUSES)
    ]
    page = list_of(*sagas)
    for saga in sagas:
        assert f'href="/sagas/orchestrated/{saga["saga_id"]}"' in page
        row = page[page.index(f'<tr id="s-{saga["saga_id"]}"') :]
        assert saga["status"] in said(row[: row.index("</tr>")])


@pytest.mark.parametrize("name", NAMES)
def test_every_saga_s_page_leads_back_to_the_list(name: str) -> None:
    """Particular/ServiceInsight#1535."""
    told = load(name)
    links = {attributes.get("href") for tag, attributes in Text(page_of(told)).tags if tag == "a"}
    assert {"/", f"/?style={told['saga']['saga_pattern']}", f"/?cart={told['saga']['cart_id']}"} <= links


def letters(count: int, **redrive: Any) -> dict[str, Any]:
    """Return a page of parked messages of pagos, and one redrive of them."""
    items = [
        {
            "service": "pagos", "event": "inventory.reserved", "event_id": f"e{number}", "saga_id": None,
            "error": "ValueError: odd", "tries": 4, "parked_at": NOW.isoformat(), "payload": "x",
        }
        for number in range(count)
    ]  # fmt: skip
    done = {
        "id": "1", "by": "luz", "reason": "mended", "requested_at": NOW.isoformat(), "finished_at": NOW.isoformat(),
        "wanted": {"service": "pagos", "event": None, "event_ids": None},
        "moved": [{"service": "pagos", "event_id": f"e{number}"} for number in range(count + 3)], **redrive,
    }  # fmt: skip
    return {"items": items, "redrives": [done]}


def test_a_redrive_is_of_all_that_fits_a_filter_and_names_the_queue() -> None:
    """Particular/ServicePulse#2764, camunda#34610 (a batch touched only visible rows), rabbitmq-server#10937."""
    found = parked(letters(2), LetterFilter(service="pagos"), most=2)
    assert "Parked the first 2" in said(dead_letters_page(found, "", NOW))
    page = said(redrive_page(found, EMPTY))
    assert "Redrive every parked message of pagos?" in page
    assert "2 messages and more" in page


def test_a_redrive_says_what_it_moved_and_what_failed_again() -> None:
    """Particular/ServiceControl#5122: the message was reported as retried, and discarded."""
    page = said(dead_letters_page(parked(letters(2), LetterFilter(), most=200), "1", NOW))
    assert "5 messages delivered again: 5 to pagos. 2 of them failed again, and are parked." in page


def test_the_number_of_errors_is_told_and_a_link_jumps_to_the_first() -> None:
    """jaegertracing/jaeger#836."""
    page = page_of(load("orchestrated-retried"))
    assert re.search(r"after \d+ failed requests", said(page))
    marks = order_of(page, 'href="#trouble"', 'id="trouble"')
    assert marks[0] < marks[1]
    assert page.count('id="trouble"') == 1


def test_a_step_that_was_skipped_or_is_not_known_blanks_nothing() -> None:
    """conductor#605."""
    told = load("orchestrated-declined")
    told["saga"]["steps"][-1]["status"] = "skipped"
    told["saga"]["steps"].append({**told["saga"]["steps"][-1], "name": "send_parcel", "status": "never heard of"})
    page = page_of(told)
    assert parts(page) == parts(page_of(load("orchestrated-declined")))
    assert "send parcel" in said(page)


def test_a_stuck_saga_is_loud_in_the_list_and_on_its_page() -> None:
    """camunda#26699: an incident was not shown."""
    told = load("orchestrated-retried")
    told["saga"]["status"] = "stuck"
    page = page_of(told)
    assert '<section class="banner failed"' in page
    assert "it wants a person to look" in said(page)
    row = list_of(summary(status="stuck"))
    assert '<span class="badge failed">' in row[row.index("<tbody>") :]


def test_compensations_that_ran_are_told_from_what_had_nothing_to_undo() -> None:
    """camunda#19567."""
    page = page_of(load("orchestrated-declined"))
    back = re.findall(r'class="node undo (\w+)', page)
    assert "undone" in back
    assert "skipped" in back
    assert "nothing to undo" in said(page)


def test_figures_that_are_not_to_be_had_keep_no_page_back() -> None:
    """camunda#32881: statistics timed out, and with them the page."""
    page = said(list_of(summary(), stats=None))
    assert "Ended per second –" in page  # noqa: RUF001
    assert "compensated" in page


def test_any_id_is_searched_for_from_every_page_and_what_goes_wrong_can_be_undone_there() -> None:
    """dapr/dashboard#284."""
    page = page_of(load("orchestrated-completed"))
    assert 'action="/search" role="search"' in page
    assert possible(load("orchestrated-completed")["saga"]) == ["compensate"]


@pytest.mark.parametrize("name", [name for name in NAMES if "declined" in name or "undone" in name])
def test_the_banner_comes_before_the_history(name: str) -> None:
    """diagridio/dev-dashboard#43."""
    page = page_of(load(name))
    marks = order_of(page, '<section class="banner', 'id="what"', 'id="when"', 'id="became"', 'id="all"')
    assert marks == sorted(marks)
