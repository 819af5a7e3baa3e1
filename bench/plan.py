"""The plan of the measurements."""

from collections.abc import Iterator
from dataclasses import dataclass

LOADS = ("spread", "hot")  # carts of many products in turn, or all of one
PER_CLIENT = 80  # checkouts of each client, one after the other; with one in flight, more would take most of the time


@dataclass(frozen=True, order=True)
class Case:
    """One style under one load, with a number of checkouts in flight."""

    load: str
    concurrency: int
    style: str

    def __str__(self) -> str:
        return f"{self.style}, {self.concurrency} in flight, {self.load}"


@dataclass(frozen=True)
class Plan:
    """`sagas` is the greatest number in a round; `declines` is the share of declined payments."""

    styles: tuple[str, ...]
    loads: tuple[str, ...]
    concurrencies: tuple[int, ...]
    sagas: int
    rounds: int
    declines: float

    def sagas_at(self, concurrency: int) -> int:
        """Return the number of sagas of a round with this concurrency."""
        return min(self.sagas, PER_CLIENT * concurrency)

    def cases(self) -> Iterator[Case]:
        """Return all rounds in order: the styles take turns, and another one is first each time."""
        for load in self.loads:
            for concurrency in self.concurrencies:
                for number in range(self.rounds):
                    first = number % len(self.styles)
                    for style in (*self.styles[first:], *self.styles[:first]):
                        yield Case(load, concurrency, style)
