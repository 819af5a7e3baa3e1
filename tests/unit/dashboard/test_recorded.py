"""Pages of recorded sagas: their contents, and that they equal the pages that were last reviewed."""

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.story import story_of
from dashboard.words import duration
from tests.unit.dashboard.recorded import HERE, NAMES, load, page_of
from tests.unit.dashboard.text import HOSTILE, Text
from tests.unit.dashboard.told import noted, text_of_told

each_saga = pytest.mark.parametrize("name", NAMES)


def text_of(name: str) -> str:
    return Text(page_of(load(name))).text


def test_ten_sagas_and_more_are_recorded() -> None:
    assert len(NAMES) >= 10


@each_saga
def test_a_page_is_as_it_was_when_somebody_looked(name: str) -> None:
    """`python -m tests.unit.dashboard.recorded` writes them again."""
    assert page_of(load(name)) == (HERE / f"{name}.html").read_text()


@each_saga
def test_a_page_has_no_inline_script_or_style_and_nothing_from_elsewhere(name: str) -> None:
    for tag, attributes in Text(page_of(load(name))).tags:
        assert "style" not in attributes
        assert not [each for each in attributes if each.startswith("on")]
        assert tag != "style"
        assert tag != "script" or attributes["src"]
        for link in ("src", "href", "action"):
            assert not (attributes.get(link) or "/").startswith(("http", "//"))


@each_saga
def test_ids_in_a_page_are_unique_and_every_link_within_it_leads_somewhere(name: str) -> None:
    tags = Text(page_of(load(name))).tags
    ids = [attributes["id"] for _, attributes in tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = {attributes["href"] for tag, attributes in tags if tag == "a" and attributes["href"]}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


@each_saga
def test_every_entry_of_the_timeline_is_told(name: str) -> None:
    told = load(name)
    raw = [json.loads(each) for each in re.findall(r"<pre[^>]*>(.*?)</pre>", _unescaped(page_of(told)), re.DOTALL)]
    assert raw == [part for item in told["timeline"]["items"] for part in _parts(item)]


def _parts(item: dict[str, Any]) -> Iterator[Any]:
    """Yield the request, the answer and the rest, as far as they are known."""
    said = [item.get(name) for name in ("request", "response")]
    yield from (each["body"] for each in said if each and each["body"] is not None)
    rest = {name: value for name, value in item.items() if name not in {"request", "response"}}
    yield {name: value for name, value in rest.items() if value is not None}


def _unescaped(page: str) -> str:
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        page = page.replace(entity, character)
    return page


def test_a_declined_payment_says_what_where_why_and_what_is_left_over() -> None:
    said = text_of("orchestrated-declined")
    assert "Take payment was refused: HTTP 402: the card's issuer declined it" in said
    assert "Where Take payment at pagos" in said
    assert "Undone Release stock, Reopen cart; nothing to undo: Cancel order, Refund, in 4" in said
    assert "Left over nothing: order, money, stock and cart were read" in said


def test_an_undone_sale_is_no_refusal() -> None:
    """Its `inventory.commit.failed` follows from a cancellation; no service refused anything."""
    page = page_of(load("choreographed-undone"))
    assert "Undone by luz: customer changed their mind" in Text(page).text
    assert "after it had completed" in page
    assert '<details class="ev failed"' not in page


def test_attempts_without_an_answer_are_one_row_that_opens_and_none_is_lost() -> None:
    said = text_of("orchestrated-retried-compensated")
    assert "Release stock 16 requests, attempts 1 to 6 2 × no answer in time, 14 × connection refused or broken" in said  # noqa: RUF001


def test_what_took_many_attempts_says_so_though_it_completed() -> None:
    assert re.search(r"Completed, after \d+ failed requests", text_of("orchestrated-retried"))


def test_a_saga_that_waits_says_for_whom_and_that_it_goes_on() -> None:
    said = text_of("choreographed-waiting")
    assert "No event from pagos yet For" in said
    assert "Last inventory.reserved by inventario" in said
    assert "+28 ms · no event from pagos yet" in said


def test_what_a_service_did_not_say_is_not_known_and_nothing_is_made_up() -> None:
    told = load("orchestrated-declined")
    from dashboard.outcome import Reading, outcome_of  # noqa: PLC0415

    outcome = outcome_of(told["saga"], Reading(None, None, None, None))
    assert {fact.value for fact in outcome.facts} == {"not known"}
    assert outcome.left_over == "not known of order, money, stock, cart"


def test_amounts_have_the_unit_of_the_shop_where_nothing_was_paid_or_ordered() -> None:
    told = load("orchestrated-undone")
    told["outcome"] |= {"payments": {"items": []}, "orders": {"items": []}}
    said = Text(page_of(told)).text
    assert "Total 49.80 EUR" in said
    assert "0.00 EUR kept 0.00 EUR taken, 0.00 EUR given back" in said


def test_what_is_left_over_of_a_compensated_saga_is_named() -> None:
    told = load("orchestrated-undone")
    told["outcome"]["payments"]["items"][0] |= {"status": "captured", "refunded": 0}
    said = Text(page_of(told)).text
    assert "Left over money 49.80 EUR kept" in said


def hostile(told: Any) -> Any:
    """Return the same data with every text that somebody chose replaced."""
    chosen = {"user_id", "detail", "reason", "by", "error", "payment_method", "name"}
    if isinstance(told, dict):
        known = told.get("kind") or told.get("attempts") is not None  # the definition chooses names of steps
        return {
            key: HOSTILE if key in chosen - ({"name"} if known else set()) and value is not None else hostile(value)
            for key, value in told.items()
        }
    return [hostile(each) for each in told] if isinstance(told, list) else told


@each_saga
def test_whatever_people_chose_is_seen_as_text(name: str) -> None:
    page = page_of(hostile(copy.deepcopy(load(name))))
    seen = Text(page)
    assert "<script>alert(1)</script>" in seen.text
    assert [attributes["src"] for tag, attributes in seen.tags if tag == "script"] == [
        "/static/htmx/htmx-4.0.1.min.js",
        "/static/dashboard.js",
        "/static/live.js",
    ]
    assert "img" not in {tag for tag, _ in seen.tags}


def test_a_hold_that_expired_before_it_was_undone_is_nothing_left_over() -> None:
    told = load("orchestrated-declined")
    told["outcome"]["reservations"]["items"][0] |= {"status": "expired"}
    said = text_of_told(told)
    assert "Left over nothing: order, money, stock and cart were read" in said
    assert "Stock back on the shelf" in said
    told["saga"] |= {"status": "completed"}
    assert 'class="fact failed"><dt>Stock' in page_of(told), "of a completed one it is amiss"


def test_the_books_of_one_that_was_undone_were_open_since_its_undoing_began() -> None:
    """As in the statistics, which counted the time before its completion already."""
    for name in ("orchestrated-undone", "choreographed-undone"):
        told = load(name)
        story = story_of(told["saga"], told["timeline"]["items"], datetime.now(UTC))
        (_, completed), (start, end) = story.windows
        assert completed <= start
        assert f"Books open {duration(end - start)} " in text_of(name)


@each_saga
def test_what_changes_while_one_looks_is_no_part_of_what_is_read_aloud(name: str) -> None:
    told = load(name)
    now = datetime.now(UTC)
    said = [
        re.findall(r'<div role="(?:alert|status)">(.*?)</div>', page_of({**told, "now": then.isoformat()}), re.DOTALL)
        for then in (now, now + timedelta(seconds=90))
    ]
    assert said[0] == said[1]
    assert 'class="banner' not in page_of(told) or said[0]


@pytest.mark.parametrize("entries", [30, 300])
def test_only_of_a_long_list_rows_out_of_sight_are_left_undrawn(entries: int) -> None:
    told = load("orchestrated-completed")
    told["timeline"]["items"] += [told["timeline"]["items"][-1]] * (entries - len(told["timeline"]["items"]))
    assert ('class="card log long"' in page_of(told)) == (entries > 40)


def test_a_step_that_is_not_known_here_is_shown_under_its_own_name() -> None:
    told = load("orchestrated-completed")
    item = next(item for item in told["timeline"]["items"] if item["kind"] == "attempt")
    told["timeline"]["items"].append({**item, "step": "book_shipment", "service": "shipping"})
    told["saga"]["steps"].insert(3, {**told["saga"]["steps"][0], "name": "book_shipment"})
    assert text_of_told(told).count("book shipment") == 3  # in the flow, in the lane, and in the list


def test_a_saga_without_a_timeline_yet_has_a_page() -> None:
    for name in ("orchestrated-completed", "choreographed-completed"):
        told = load(name)
        told["timeline"]["items"] = []
        told["saga"] |= {"status": "pending", "ended_at": None}
        told["outcome"] = {**{each: {"items": []} for each in ("orders", "payments", "reservations")}, "cart": None}
        assert "pending" in text_of_told(told)


def test_an_entry_opens_to_what_was_requested_and_what_was_answered() -> None:
    told = load("orchestrated-declined")
    for entry in told["timeline"]["items"]:
        if entry["kind"] == "attempt":
            entry["request"] = {"method": "POST", "path": "/a/path", "event": None, "body": {"user_id": "<script>"}}
            entry["response"] = {"status": 402, "event": None, "body": {"detail": "no"}, "error": "pagos: no"}
    page = page_of(told)
    assert "Requested <code>POST /a/path</code>" in page
    assert "Answered <code>status 402</code>" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page.partition('id="all"')[2].partition("</section>")[0]


def test_what_happened_on_purpose_is_marked_in_the_banner_the_swimlane_and_the_list() -> None:
    told = load("choreographed-completed")
    (paid,) = [entry for entry in told["timeline"]["items"] if entry["event"] == "payment.processed"]
    paid["fault"] = "lose_answer"
    page = page_of(told)
    said = Text(page).text
    assert "Completed, with failures on purpose" in said
    assert "On purpose lose_answer at payment.processed" in said
    assert 'class="mark">on purpose: lose_answer<' in page
    assert "pagos publishes payment.processed (on purpose: lose_answer)" in said
    assert "On purpose" not in text_of("choreographed-completed")


@pytest.mark.parametrize(
    ("name", "what"), [("orchestrated-killed", "Take payment"), ("choreographed-killed", "payment.processed")]
)
def test_a_kill_of_which_no_answer_told_is_marked_in_either_style(name: str, what: str) -> None:
    assert f"On purpose kill at {what} Jump" in text_of(name)
    assert page_of(load(name)).count("on purpose: kill<") == 1


def test_waiting_in_the_queue_is_told_from_working() -> None:
    told = load("choreographed-completed")
    by_id = {entry["event_id"]: entry for entry in told["timeline"]["items"]}
    (paid,) = [entry for entry in told["timeline"]["items"] if entry["event"] == "payment.processed"]
    started = datetime.fromisoformat(by_id[paid["cause"]]["started_at"])
    paid["started_at"] = paid["finished_at"] = (started + timedelta(milliseconds=50)).isoformat()
    paid["taken_at"] = (started + timedelta(milliseconds=30)).isoformat()
    said = Text(page_of(told)).text
    assert re.search(r"inventory.reserved waits in outbox and queue · after \d+ ms, for 30 ms", said)
    assert re.search(r"pagos handles inventory.reserved · after \d+ ms, for 20 ms", said)
    paid["taken_at"] = (started - timedelta(milliseconds=30)).isoformat()  # by another clock
    assert re.search(r"pagos handles inventory.reserved · after \d+ ms, for 50 ms", Text(page_of(told)).text)


@pytest.mark.parametrize(("kind", "state"), [("stuck", "failed"), ("retry_requested", "idle"), ("redriven", "idle")])
def test_what_is_no_success_has_no_tick(kind: str, state: str) -> None:
    page = page_of(noted(load("choreographed-waiting"), kind=kind, by="watchdog"))
    assert f'<details class="ev {state}"' in page.partition('id="all"')[2]


def test_being_stuck_is_not_what_turned_a_saga_back() -> None:
    told = noted(load("orchestrated-completed"), kind="stuck")
    assert "turned back" not in text_of_told(told)


def test_what_the_watchdog_asks_for_comes_from_itself_and_from_no_operator() -> None:
    told = load("choreographed-undone")
    (request,) = [entry for entry in told["timeline"]["items"] if entry["event"] == "checkout.cancel.requested"]
    request |= {"by": "watchdog"}
    drawing = page_of(told).partition('class="seq"')[2].partition("</svg>\n</section>")[0]
    assert ">watchdog</text>" in drawing
    assert ">operator</text>" not in drawing
    assert ">operator</text>" in page_of(load("choreographed-undone"))


def test_the_line_of_the_turn_stands_where_the_refusal_was_known() -> None:
    told = load("orchestrated-declined")
    story = story_of(told["saga"], told["timeline"]["items"], datetime.now(UTC))
    assert story.turn is not None
    place = round(100 * story.turn.end / story.end, 3)
    assert f'<g class="turn"><line x1="{place}%"' in page_of(told)


def test_what_comes_after_the_end_of_a_saga_changes_none_of_its_times_and_counts() -> None:
    told, later = load("choreographed-declined"), load("choreographed-declined")
    items = later["timeline"]["items"]
    late = {"occurred": datetime.fromisoformat(items[-1]["started_at"]) + timedelta(minutes=2)}
    released = next(each for each in items if each["event"] == "inventory.released")
    for number, each in enumerate((released, items[-1])):
        at = (late["occurred"] + timedelta(seconds=number)).isoformat()
        ids = {"event_id": f"late {number}", "cause": items[0]["event_id"]}
        items.append({**each, **ids, "started_at": at, "finished_at": at})
    before, after = (text_of_told(each) for each in (told, later))
    for fact in (r"Took [^B]+Books open [\d.]+ m?s", r"Undone .*? in \d+ ms"):
        assert re.findall(fact, before) == re.findall(fact, after) != []
