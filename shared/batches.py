"""Splitting what goes together into parts that one call can take."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


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
