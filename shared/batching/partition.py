"""Splitting what goes together into parts that one call can take."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from shared.errors import DomainError

Item = TypeVar("Item")
Result = TypeVar("Result")


def rounds(items: Iterable[Item], key: Callable[[Item], Hashable]) -> Iterator[list[Item]]:
    """The items in as few lists as hold each key once at most; those of one key come in their own order."""
    seen = defaultdict[Hashable, int](int)
    parts: list[list[Item]] = []
    for item in items:
        number = seen[key(item)]
        seen[key(item)] += 1
        if number == len(parts):
            parts.append([])
        parts[number].append(item)
    yield from parts


def each_once(
    items: Iterable[Item], key: Callable[[Item], Hashable], act: Callable[[list[Item]], Iterable[Result]]
) -> list[Result]:
    """What `act` returns for each item, when it can take a key only once: it is called again from where one recurs."""
    results: list[Result] = []
    part: dict[Hashable, Item] = {}
    for item in items:
        if key(item) in part:
            results.extend(act(list(part.values())))
            part = {}
        part[key(item)] = item
    return [*results, *act(list(part.values()))] if part else results


def unless_refused(
    items: Sequence[Item | DomainError], act: Callable[[list[Item]], Iterable[Result]]
) -> list[Result | DomainError]:
    """What `act` returns for each item, and the refusal of each that was refused already, in their order."""
    acted = iter(act([item for item in items if not isinstance(item, DomainError)]))
    return [item if isinstance(item, DomainError) else next(acted) for item in items]
