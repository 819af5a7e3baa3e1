"""`python -m bench.paired`: the order of turns, and the ratios."""

from collections.abc import Sequence
from typing import Any

import pytest

from bench.checkouts import Checkout
from bench.paired import Side, compare


class Stack(Side):
    """A stack that takes a known time and CPU time for each checkout, and records its turns."""

    def __init__(self, name: str, seconds: float, cpu: float, turns: list[tuple[str, int]]) -> None:
        super().__init__(urls={}, components={}, products=[], clients=[])
        self.name, self.seconds, self.cpu, self.turns = name, seconds, cpu, turns
        self.used_until_now = 100.0

    def drive(self, checkouts: Sequence[Checkout], style: str, concurrency: int) -> None:  # noqa: ARG002  (as a side has it)
        self.turns.append((self.name, len(checkouts)))
        self.group_seconds.append(self.seconds * len(checkouts))
        self.used_until_now += self.cpu * len(checkouts)

    def used(self) -> float:
        return self.used_until_now


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    def carts(clients: Any, products: Any, count: int, mix: Any) -> list[None]:
        return [None] * count

    monkeypatch.setattr("bench.paired.make_checkouts", carts)
    return []


def test_the_ratios_are_those_of_this_stack_to_the_other(turns: list[tuple[str, int]]) -> None:
    sides = Stack("here", 0.03, 0.012, turns), Stack("there", 0.02, 0.010, turns)
    assert compare(sides, "orchestrated", 1, 45) == pytest.approx((1.2, 1.5))
    assert compare(sides, "orchestrated", 4, 3) == pytest.approx((1.2, 1.5)), "nothing is left of the case before"


def test_both_have_the_same_load_by_turns_and_neither_is_always_first(turns: list[tuple[str, int]]) -> None:
    compare((Stack("here", 1, 1, turns), Stack("there", 1, 1, turns)), "choreographed", 2, 4)
    pairs = [(turns[n], turns[n + 1]) for n in range(0, len(turns), 2)]
    assert pairs == [(("there", 6), ("here", 6)), (("here", 6), ("there", 6))] * 2
