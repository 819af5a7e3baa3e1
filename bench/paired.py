"""What a change costs: `python -m bench.paired OTHER` drives two running stacks in turns, checkout by checkout.

A machine's speed drifts within minutes, by more than most changes cost. So the stack of this checkout and that of
another one (before the change) get the same load in short turns, and only ratios of this stack's figures to the other's
are printed. CPU is counted for each stack's own processes. Run it on stacks that were started alike.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import cpu
from bench.checkouts import Checkout, Mix, make_checkouts, stock_up
from bench.client import Client, Json
from bench.load import drive
from bench.rounds import HELPERS
from bench.styles import STYLES
from stack.audit.run import urls_of
from stack.demo.shop import Shop
from stack.errors import StackError
from stack.home import Home
from stack.table import table

SAGA_STYLES = ("orchestrated", "choreographed")
CONCURRENCIES = (1, 32)
GROUPS_PER_TURN = 20  # checkouts of a turn; carts are made, and CPU is read, only between turns
PER_CLIENT = 3  # checkouts of a group, when there are several clients


@dataclass
class Side:
    """One of the two stacks, and its measurements in the present case."""

    urls: dict[str, str]
    components: dict[int, str]
    products: Sequence[Json]
    clients: Sequence[Client]
    cpu_seconds: float = 0.0
    group_seconds: list[float] = field(default_factory=list)

    def drive(self, checkouts: Sequence[Checkout], style: str, concurrency: int) -> None:
        """Run one group of checkouts."""
        way, _ = STYLES[style]
        self.group_seconds.append(drive(checkouts, self.clients[:concurrency], way).seconds)

    def used(self) -> float:
        """Return the CPU seconds that its processes have used so far, without the driver's."""
        seconds = cpu.cpu_seconds(self.components)
        return sum(value for component, value in seconds.items() if component != cpu.DRIVER)


@contextmanager
def _side(home: Home) -> Iterator[Side]:
    urls = urls_of(home)
    clients = [Client(urls) for _ in range(max(CONCURRENCIES))]
    try:
        yield Side(urls, cpu.components(home), stock_up(Shop(urls))["hot"], clients)
    finally:
        for client in clients:
            client.close()


def compare(sides: tuple[Side, Side], style: str, concurrency: int, groups: int) -> tuple[float, float]:
    """Return the ratios, first side to second, of CPU per checkout and of the median time of a group."""
    for side in sides:
        side.cpu_seconds, side.group_seconds = 0.0, []
    for first in range(0, groups, GROUPS_PER_TURN):
        _turn(sides, style, concurrency, min(GROUPS_PER_TURN, groups - first))
    here, there = sides
    times = statistics.median(here.group_seconds), statistics.median(there.group_seconds)
    return here.cpu_seconds / there.cpu_seconds, times[0] / times[1]


def _turn(sides: tuple[Side, Side], style: str, concurrency: int, groups: int) -> None:
    size = 1 if concurrency == 1 else concurrency * PER_CLIENT
    carts = [make_checkouts(side.clients[:HELPERS], side.products, groups * size, Mix()) for side in sides]
    before = [side.used() for side in sides]
    for number in range(groups):
        both = list(zip(sides, carts, strict=True))
        for side, checkouts in both if number % 2 else reversed(both):  # else the second always finds a warmer machine
            side.drive(checkouts[number * size : (number + 1) * size], style, concurrency)
    for side, seconds in zip(sides, before, strict=True):
        side.cpu_seconds += side.used() - seconds


def _rows(sides: tuple[Side, Side], groups: int) -> Iterator[tuple[str, ...]]:
    for concurrency in CONCURRENCIES:
        for style in SAGA_STYLES:
            many = groups if concurrency == 1 else max(2, groups // 10)
            ratios = compare(sides, style, concurrency, many)
            yield (str(concurrency), style, *(f"{ratio:.3f}" for ratio in ratios))


def main() -> int:
    """Print a table of ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench.paired", description=__doc__)
    parser.add_argument("other", type=Path, help="the .local folder of the other checkout's stack")
    parser.add_argument("--home", type=Path, help="of this one's; .local by default")
    parser.add_argument(
        "--groups", type=int, default=200, help="of checkouts with one in flight; a tenth with more (%(default)s)"
    )
    arguments = parser.parse_args()
    try:
        with _side(Home.at(arguments.home)) as here, _side(Home.at(arguments.other)) as there:
            rows = list(_rows((here, there), arguments.groups))
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print("\n".join(table([("in flight", "style", "CPU x", "time x"), *rows])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
