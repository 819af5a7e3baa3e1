"""What a rule of the audit is.

Some rules are about the books of one service, and hold in every snapshot of them. The others are about one saga, as all
services see it, and hold for each that has ended, whatever else is going on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shared.auditing.books import Books
from shared.auditing.facts import Saga

SHOWN = 20  # of what breaks a rule: enough to start looking


@dataclass(frozen=True)
class Verdict:
    """Whether a rule holds, the figures that say so, and the ids of the sagas (or carts) that break it."""

    holds: bool
    figures: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Rule:
    topic: str
    statement: str
    name: str


@dataclass(frozen=True)
class Rule(_Rule):
    """A rule about the books of services."""

    judge: Callable[[Books], Verdict]


@dataclass(frozen=True)
class SagaRule(_Rule):
    """A rule about each saga."""

    holds: Callable[[Saga], bool]


class Topic:
    """The rules about one thing, in the order in which they are declared: functions whose docstring states them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule | SagaRule] = []

    def of_books(self, judge: Callable[[Books], Verdict]) -> Callable[[Books], Verdict]:
        """Declare a rule that the services' books show at any time."""
        self.rules.append(Rule(self.name, _statement(judge), judge.__name__, judge))
        return judge

    def of_each_saga(self, holds: Callable[[Saga], bool]) -> Callable[[Saga], bool]:
        """Declare a rule that each saga shows once it has ended."""
        self.rules.append(SagaRule(self.name, _statement(holds), holds.__name__, holds))
        return holds


def _statement(rule: Callable[..., object]) -> str:
    """What must hold, in one line."""
    return (rule.__doc__ or "").rstrip(".")


def none(broken: Iterable[object], what: str) -> Verdict:
    """Holds when nothing is broken; the figures name what is, the first few of it."""
    found = list(broken)
    return Verdict(not found, f"{what}: {listed(found)}")


def listed(items: Sequence[object]) -> str:
    """The first few of these, and how many there are when that is more."""
    shown = ", ".join(map(str, items[:SHOWN])) or "none"
    return shown if len(items) <= SHOWN else f"{shown} … {len(items)} in all"
