"""The rules of the audit.

Some rules are about the books of one service, and hold in every snapshot. The others are about one saga as all services
see it, and hold for each saga that has ended, whatever else is running.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shared.auditing.books import Books
from shared.auditing.facts import AuditedSaga

SHOWN = 20  # of the items that break a rule


@dataclass(frozen=True)
class Verdict:
    """Whether a rule holds, the figures that show it, and the ids of the sagas (or carts) that break it."""

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

    holds: Callable[[AuditedSaga], bool]


class Topic:
    """The rules about one topic, in the order of their declarations: functions whose docstring states the rule."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule | SagaRule] = []

    def of_books(self, judge: Callable[[Books], Verdict]) -> Callable[[Books], Verdict]:
        """Declare a rule about the services' books, which holds at any time."""
        self.rules.append(Rule(self.name, _statement(judge), judge.__name__, judge))
        return judge

    def of_each_saga(self, holds: Callable[[AuditedSaga], bool]) -> Callable[[AuditedSaga], bool]:
        """Declare a rule about each saga, which holds once it has ended."""
        self.rules.append(SagaRule(self.name, _statement(holds), holds.__name__, holds))
        return holds


def _statement(rule: Callable[..., object]) -> str:
    """Return the rule's statement: the first line of its docstring."""
    return (rule.__doc__ or "").rstrip(".")


def none(broken: Iterable[object], what: str) -> Verdict:
    """Return the verdict that holds when nothing is broken; its figures name the first few broken items."""
    found = list(broken)
    return Verdict(not found, f"{what}: {listed(found)}")


def listed(items: Sequence[object]) -> str:
    """List the first few items, and their number when there are more."""
    shown = ", ".join(map(str, items[:SHOWN])) or "none"
    return shown if len(items) <= SHOWN else f"{shown} … {len(items)} in all"
