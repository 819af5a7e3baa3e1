"""What a rule of the audit is.

Some rules hold in every snapshot of one service. Others compare services, whose books are read one after the other:
those hold once things are quiet, which is when no checkout is under way.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stack.books import Books, SagaBooks


@dataclass(frozen=True)
class Verdict:
    """Whether a rule holds, and the figures that say so."""

    holds: bool
    figures: str


Judge = Callable[[Books], Verdict]


@dataclass(frozen=True)
class Rule:
    """A rule: a function whose docstring states it."""

    topic: str
    judge: Judge
    always: bool  # also while checkouts are under way

    @property
    def name(self) -> str:
        """The function's name."""
        return self.judge.__name__

    @property
    def statement(self) -> str:
        """What must hold, in one line."""
        return (self.judge.__doc__ or "").rstrip(".")


class Topic:
    """The rules about one thing, in the order in which they are declared."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule] = []

    def in_every_snapshot(self, judge: Judge) -> Judge:
        """Declare a rule that one service's books show at any time."""
        self.rules.append(Rule(self.name, judge, always=True))
        return judge

    def once_quiet(self, judge: Judge) -> Judge:
        """Declare a rule that holds when no checkout is under way."""
        self.rules.append(Rule(self.name, judge, always=False))
        return judge


def unrest(books: Books) -> str | None:
    """What is going on, so that the books of different services may not agree yet; None when things are quiet."""
    if live := max(_live(books.sagas), _live(books.sagas_after)):
        return f"sagas under way: {live}"
    if by_status(books.sagas) != by_status(books.sagas_after):
        return "sagas began or ended while the books were read"
    if frozen := books.carrito.carts.get("checking_out", 0):
        return f"carts that wait for their saga: {frozen}"
    return None


def _live(sagas: SagaBooks) -> int:
    return sum(each.live for each in sagas.values())


def by_status(sagas: SagaBooks) -> Counter[str]:
    """How many sagas have each status, in either pattern."""
    return sum((Counter(each.sagas) for each in sagas.values()), Counter[str]())


def none(broken: Iterable[object], what: str) -> Verdict:
    """Holds when nothing is broken; the figures name what is."""
    listed = ", ".join(map(str, broken))
    return Verdict(not listed, f"{what}: {listed or 'none'}")
