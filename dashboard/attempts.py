"""Counts requests and attempts in a timeline, for all parts of a page.

Each request of an attempt is an entry, with the attempt's number. Of a command that keeps failing, the orchestrator
lists every request of the first ten attempts; all later ones share an entry, which describes the latest. So attempts
are known exactly, and of requests the least number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dashboard.words import State, counted

if TYPE_CHECKING:
    from dashboard.story import Moment

LISTED = 10  # failed attempts in a row of which each request is an entry


@dataclass(frozen=True)
class Count:
    """A number of requests, or the least that it can be."""

    number: int
    is_exact: bool = True

    def __str__(self) -> str:
        return str(self.number) if self.is_exact else f"at least {self.number}"

    def of(self, noun: str) -> str:
        """`1 request`, `at least 12 requests`."""
        return f"{'' if self.is_exact else 'at least '}{counted(self.number, noun)}"


def with_tries(moments: "Sequence[Moment]") -> "tuple[Moment, ...]":
    """Return the entries with the number of attempts that each stands for: those since the entry before it."""
    found: list[Moment] = []
    last: dict[tuple[str | None, str | None], int] = {}
    for moment in moments:
        if moment.kind != "attempt":
            found.append(moment)
            continue
        number = int(moment.entry["attempt"])
        found.append(replace(moment, tries=max(1, number - last.get(moment.key, number - 1))))
        last[moment.key] = number
    return tuple(found)


def requests(moments: "Iterable[Moment]") -> Count:
    """Return how many requests these entries stand for."""
    return _count([each for each in moments if each.kind == "attempt"], [])


def failed_requests(moments: "Iterable[Moment]") -> Count:
    """Return how many requests failed or had no answer; of an entry with an answer, all but the last."""
    attempts = [each for each in moments if each.kind == "attempt"]
    return _count(attempts, [each for each in attempts if each.state is not State.UNANSWERED])


def marked(moments: "Sequence[Moment]") -> Count:
    """Return the number of entries, as the least number of requests when one stands for several."""
    return Count(len(moments), not any(map(_is_shared, moments)))


def attempts(moments: "Sequence[Moment]") -> int:
    """Return how many attempts at one command these entries are, as the API counts them."""
    return max((int(each.entry["attempt"]) for each in moments), default=0)


def first_attempt(moment: "Moment") -> int:
    """The number of the first attempt that an entry stands for."""
    return int(moment.entry["attempt"]) - moment.tries + 1


def _count(entries: "Sequence[Moment]", without: "Sequence[Moment]") -> Count:
    return Count(sum(each.tries for each in entries) - len(without), not any(map(_is_shared, entries)))


def _is_shared(moment: "Moment") -> bool:
    late = moment.state is State.UNANSWERED and int(moment.entry["attempt"] or 0) > LISTED
    return moment.tries > 1 or late
