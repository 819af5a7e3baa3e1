"""The latest changes of one style's sagas, so that a viewer who was cut off for a moment is told what he missed."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Sagas that changed, and the feed's cursor after that; numbers grow by one."""

    number: int
    cursor: str
    sagas: tuple[str, ...]


class Ring:
    """The last `size` changes, in order. Not safe for threads by itself."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: deque[Change] = deque()
        self._before = Change(0, "", ())

    @property
    def last(self) -> Change:
        """The newest change; before there is one, where the ring begins."""
        return self._kept[-1] if self._kept else self._before

    def begin(self, cursor: str) -> None:
        """Forget all changes. The next ones are those after this cursor."""
        self._before = Change(self.last.number + 1, cursor, ())
        self._kept.clear()

    def add(self, cursor: str, sagas: tuple[str, ...]) -> None:
        """Keep one more change, and forget the oldest when there are too many."""
        if len(self._kept) == self._size:
            self._before = self._kept.popleft()
        self._kept.append(Change(self.last.number + 1, cursor, sagas))

    def number_at(self, cursor: str) -> int | None:
        """The number of the change with this cursor; None when it is not known, or not any more."""
        if not cursor:
            return None
        return next((each.number for each in (self._before, *self._kept) if each.cursor == cursor), None)

    def since(self, number: int | None) -> list[Change] | None:
        """The changes after this one; None when some of them are forgotten."""
        if number is None or number < self._before.number:
            return None
        return [each for each in self._kept if each.number > number]
