"""The latest changes of one style's sagas, for viewers who connect again."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Sagas that changed, and the feed's cursor after that; numbers are consecutive."""

    number: int
    cursor: str
    sagas: tuple[str, ...]


class Ring:
    """The last `size` changes, in order. Not thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: deque[Change] = deque()
        self._before = Change(0, "", ())

    @property
    def last(self) -> Change:
        """The newest change, or the beginning if there is none yet."""
        return self._kept[-1] if self._kept else self._before

    def begin(self, cursor: str) -> None:
        """Forget all changes; the next ones follow this cursor."""
        self._before = Change(self.last.number + 1, cursor, ())
        self._kept.clear()

    def add(self, cursor: str, sagas: tuple[str, ...]) -> None:
        """Add a change, and forget the oldest when there are too many."""
        if len(self._kept) == self._size:
            self._before = self._kept.popleft()
        self._kept.append(Change(self.last.number + 1, cursor, sagas))

    def number_at(self, cursor: str) -> int | None:
        """Return the number of the change with this cursor; None when it is unknown or forgotten."""
        if not cursor:
            return None
        return next((each.number for each in (self._before, *self._kept) if each.cursor == cursor), None)

    def since(self, number: int | None) -> list[Change] | None:
        """Return the changes after this one; None when some of them are forgotten."""
        if number is None or number < self._before.number:
            return None
        return [each for each in self._kept if each.number > number]
