"""When a batch is closed, and how many are processed at the same time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchPolicy:
    """A batch has at most `max_size` items; None allows any number.

    Where callers or messages are batched, the first one waits at most `max_wait` seconds for as many as arrived
    together lately. In a `BatchQueue`, one of the `threads` takes a batch while another still processes one only after
    `overtake_after` seconds: the longer that is, the larger the batches.
    """

    max_size: int | None = None
    max_wait: float = 0.0
    threads: int = 1
    overtake_after: float = 0.0

    def is_full(self, waiting: int, expected: int) -> bool:
        """Whether `waiting` items are enough to close a batch now, when `expected` are to arrive together."""
        return waiting >= (expected if self.max_size is None else min(expected, self.max_size))
