"""Splits a batch into parts that one call may process."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from shared.errors import DomainError

Item = TypeVar("Item")
Result = TypeVar("Result")


def partition_unique(items: Iterable[Item], key: Callable[[Item], Hashable]) -> Iterator[list[Item]]:
    """Split the items into the fewest lists that each have a key at most once; items of one key keep their order."""
    seen = defaultdict[Hashable, int](int)
    parts: list[list[Item]] = []
    for item in items:
        number = seen[key(item)]
        seen[key(item)] += 1
        if number == len(parts):
            parts.append([])
        parts[number].append(item)
    yield from parts


def in_unique_batches(
    items: Iterable[Item], key: Callable[[Item], Hashable], act: Callable[[list[Item]], Iterable[Result]]
) -> list[Result]:
    """Call `act` with runs of items in which no key recurs; return its result for each item, in the items' order."""
    results: list[Result] = []
    part: dict[Hashable, Item] = {}
    for item in items:
        if key(item) in part:
            results.extend(act(list(part.values())))
            part = {}
        part[key(item)] = item
    return [*results, *act(list(part.values()))] if part else results


def map_accepted(
    items: Sequence[Item | DomainError], act: Callable[[list[Item]], Iterable[Result]]
) -> list[Result | DomainError]:
    """Replace each item by what `act` returns for it, and leave each refusal (a domain error) where it is."""
    results = iter(act([item for item in items if not isinstance(item, DomainError)]))
    return [item if isinstance(item, DomainError) else next(results) for item in items]
