"""What the pages say of sagas as the services told them, and that they say it as they did when somebody looked."""

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
    """The request, the answer and the rest, as far as they are known."""
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
    """Its `inventory.commit.failed` follows from a cancellation; nobody declined anything."""
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
    """The same with every text that somebody chose replaced."""
    chosen = {"user_id", "detail", "reason", "by", "error", "payment_method", "name"}
    if isinstance(told, dict):
        known = told.get("kind") or told.get("attempts") is not None  # names of steps are the definition's
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


def waiting(tries: int, outcome: str = "unknown") -> dict[str, Any]:
    """A declined saga with so many tries at its payment: after the tenth in a row, the latest is kept in one entry."""
    told = load("orchestrated-declined")
    items = told["timeline"]["items"]
    [paid] = [each for each in items if each["step"] == "process_payment" and each["direction"] == "action"]
    where = items.index(paid)
    lost = {**paid, "outcome": "unknown", "detail": "pagos: no answer in time"}
    numbers = [*range(1, min(tries, 10) + 1)]
    last = [{**lost, "outcome": outcome, "attempt": tries}] if tries > 10 else []
    told["timeline"]["items"] = [
        *items[:where],
        *({**lost, "attempt": number} for number in numbers),
        *last,
        *items[where + 1 :],
    ]
    return told


def test_requests_that_share_an_entry_are_all_counted() -> None:
    few, many = text_of_told(waiting(10)), text_of_told(waiting(47))
    calls = [int(re.findall(r"HTTP calls (?:at least )?(\d+)", said)[0]) for said in (few, many)]
    assert calls[1] - calls[0] == 37
    assert "Besides 10 requests failed" in few
    assert "Besides at least 47 requests failed" in many
    assert "HTTP calls at least" in many
    assert "at least 47 requests, attempts 1 to 47 11 × no answer in time, of later attempts the latest is kept" in many  # noqa: RUF001
    assert "attempts 11 to 47, of which this is the latest" in many


def test_attempts_are_counted_as_the_api_counts_them_wherever_a_page_does() -> None:
    """An attempt is up to a few requests, each of which is listed: 30 entries here, of 10 attempts."""
    told = waiting(47)
    items = told["timeline"]["items"]
    listed = [each for each in items if each["outcome"] == "unknown" and each["attempt"] <= 10]
    start = items.index(listed[0])
    told["timeline"]["items"] = [
        *items[:start],
        *(each for each in listed for _ in range(3)),
        *items[start + len(listed) :],
    ]
    said = text_of_told(told)
    assert "failed · 47 attempts" in said
    assert "Besides at least 67 requests failed" in said


@pytest.mark.parametrize(("status", "words"), [(503, "HTTP 503"), (None, "no answer")])
def test_a_request_that_was_answered_with_an_error_is_not_called_unanswered(status: int | None, words: str) -> None:
    told = waiting(4)
    failed = [each for each in told["timeline"]["items"] if each["outcome"] == "unknown"]
    for each in failed:
        each["status_code"] = status
    said = text_of_told(told)
    assert f"attempt 4: {words}" in said
    assert "failed · 4 attempts" in said
    assert ("attempt 4: no answer" in said) == (status is None)


def test_a_refusal_after_many_requests_without_an_answer_hides_none_of_them() -> None:
    said = text_of_told(waiting(47, "refused"))
    assert "Besides at least 46 requests failed" in said
    assert "attempts 11 to 47" in said


def test_the_books_of_one_that_was_undone_were_open_since_its_undoing_began() -> None:
    """As the statistics have it, which counted the time before when it completed."""
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
    assert text_of_told(told).count("book shipment") == 3  # in the flow, in the lane, in the list


def text_of_told(told: dict[str, Any]) -> str:
    return Text(page_of(told)).text


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


def noted(told: dict[str, Any], **entry: Any) -> dict[str, Any]:
    """The same with one more entry of the timeline at its end, about the saga as a whole."""
    items = told["timeline"]["items"]
    blank = {**dict.fromkeys(items[-1]), "id": "01a21726-0000-7000-8000-0000000000ff"}
    times = dict.fromkeys(("started_at", "finished_at"), items[-1]["finished_at"])
    told["timeline"]["items"] = [*items, {**blank, **times, **entry}]
    return told


@pytest.mark.parametrize(("kind", "state"), [("stuck", "failed"), ("retry_asked", "idle"), ("redriven", "idle")])
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


def compensating(status: str) -> dict[str, Any]:
    """A declined saga whose stock cannot be released, tried 48 times."""
    told = load("orchestrated-declined")
    items = told["timeline"]["items"]
    [released] = [each for each in items if each["step"] == "reserve_inventory" and each["direction"] == "compensation"]
    failed = {**released, "outcome": "unknown", "detail": "inventario: HTTP 500: no release", "status_code": 500}
    last = [{**failed, "attempt": number} for number in (*range(1, 11), 48)]
    told["timeline"]["items"] = [*items[: items.index(released)], *last]
    told["saga"] |= {"status": status, "ended_at": None}
    return told


def test_the_cause_of_a_stuck_saga_is_what_its_latest_failing_command_says() -> None:
    said = text_of_told(noted(compensating("stuck"), kind="stuck", detail="reserve_inventory: HTTP 500: no release"))
    assert "Why Release stock fails at inventario: HTTP 500: no release For how long" in said
    assert "So far 48 attempts" in said
    assert "Turned back Take payment was refused: HTTP 402: the card's issuer declined it" in said


def test_while_a_compensation_fails_the_headline_says_so_and_not_why_the_saga_turned_back() -> None:
    said = text_of_told(compensating("compensating"))
    assert "Compensating, but Release stock fails at inventario: HTTP 500: no release Now 48 attempts" in said
    assert "Turned back Take payment was refused: HTTP 402: the card's issuer declined it" in said


def failing_event(name: str = "choreographed-waited-declined") -> dict[str, Any]:
    """A saga whose payment was refused, and whose stock has not been released yet."""
    told = load(name)
    items = told["timeline"]["items"]
    last = next(at for at, each in enumerate(items) if each["event"] == "payment.failed")
    told["timeline"]["items"] = items[: last + 1]
    told["saga"] |= {"status": "compensating", "ended_at": None}
    return told


def test_of_an_event_that_has_not_come_it_is_said_whose_it_is_and_not_that_nobody_reacted() -> None:
    said = text_of_told(failing_event())
    assert "Compensating, but no event from inventario yet: the latest is payment.failed" in said
    assert "no event from inventario yet Undone" not in said
    assert "Undone nothing so far" in said
    for untrue in ("unheard", "nobody has reacted", "Nothing is heard"):
        assert untrue not in said


def test_a_stuck_choreographed_saga_says_whose_event_it_waits_for() -> None:
    told = failing_event()
    told["saga"] |= {"status": "stuck"}
    noted(told, kind="stuck", by="watchdog", detail="nothing has happened for 120 s")
    assert "Why No event from inventario yet: the latest is payment.failed" in text_of_told(told)


def test_of_an_ended_saga_no_event_is_awaited_any_more() -> None:
    told = failing_event()
    told["saga"] |= {"status": "compensated", "ended_at": load("choreographed-waited-declined")["saga"]["ended_at"]}
    said = text_of_told(told)
    assert "no event followed" in said
    assert "yet" not in said.partition("What became of it")[0]


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
