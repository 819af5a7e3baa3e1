"""What a saga's page shows of what holds the saga up: a failing command, or an event that is missing."""

from typing import Any

from tests.unit.dashboard.recorded import load
from tests.unit.dashboard.told import noted, text_of_told


def compensating(status: str) -> dict[str, Any]:
    """Return a declined saga whose stock cannot be released, after 48 attempts."""
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
    """Return a saga whose payment was refused, and whose stock has not been released yet."""
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
