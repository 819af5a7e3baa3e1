"""The numbers of requests and attempts on a saga's page."""

import re
from typing import Any

import pytest

from tests.unit.dashboard.recorded import load
from tests.unit.dashboard.told import text_of_told


def waiting(tries: int, outcome: str = "unknown") -> dict[str, Any]:
    """Return a declined saga with so many attempts at its payment; after ten in a row, one entry has the latest."""
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
    """An attempt has up to three requests, each of which is an entry: 30 entries here, of 10 attempts."""
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
