"""When a batch is closed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchPolicy:
    """A batch has at most `max_size` items (None: any number), and waits at most `max_wait` seconds for more items."""

    max_size: int | None = None
    max_wait: float = 0.0

    def is_full(self, waiting: int, expected: int) -> bool:
        """Whether `waiting` items are enough to close a batch now, when `expected` are to arrive together."""
        return waiting >= (expected if self.max_size is None else min(expected, self.max_size))
