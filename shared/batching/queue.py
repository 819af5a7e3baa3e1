"""A queue whose worker threads process all waiting items in one call (micro-batching)."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

import structlog

from shared.batching.policy import BatchPolicy
from shared.process import heartbeat

T = TypeVar("T")
log = structlog.get_logger()


class BatchQueue(Generic[T]):
    """A queue of items that are processed in batches, in the order in which they came.

    An item that comes alone is processed at once. Items that come while a batch is being processed form the next one,
    so the cost of an item falls as the load rises.
    """

    def __init__(
        self,
        name: str,
        process: Callable[[list[T]], None],
        failed: Callable[[list[T]], None],
        policy: BatchPolicy,
    ) -> None:
        """`failed` gets the batch when `process` raised, which is a defect; the queue goes on with the next batch."""
        self._process = process
        self._failed = failed
        self._policy = policy
        self._pending: deque[T] = deque()
        self._changed = threading.Condition()
        self._turn: threading.Thread | None = None  # the thread that the others wait for
        self._turn_began_at = 0.0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(policy.threads)
        ]

    def start(self) -> None:
        """Start the worker threads."""
        for thread in self._threads:
            thread.start()

    def put(self, items: Iterable[T]) -> None:
        """Add items; returns at once."""
        with self._changed:
            self._pending.extend(items)
            self._changed.notify()

    def let_next_overtake(self) -> None:
        """For the processing thread: let another thread take the next batch now, although this one is not done."""
        with self._changed:
            if self._turn is threading.current_thread():
                self._turn = None
                self._changed.notify()

    def close(self) -> None:
        """Process the items that are left, then end the worker threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with heartbeat.loop(threading.current_thread().name):
            while batch := self._next_batch():
                try:
                    self._process(batch)
                except Exception:
                    log.exception("batch failed")
                    self._failed(batch)

    def _next_batch(self) -> list[T]:
        """Wait for this thread's turn and for items; empty once the queue is closed and has no more."""
        with self._changed:
            if self._turn is threading.current_thread():
                self._turn = None
            while not self._may_begin():
                if self._closed and not self._pending:
                    return []
                with heartbeat.resting():
                    self._changed.wait(self._seconds_to_overtake() if self._pending else None)
            batch = list(islice(self._pending, self._policy.max_size))
            for _ in batch:
                self._pending.popleft()
            self._turn, self._turn_began_at = threading.current_thread(), time.monotonic()
            if self._pending:
                self._changed.notify()  # let another thread wait for the items that are left
            return batch

    def _may_begin(self) -> bool:
        return bool(self._pending) and (self._turn is None or self._seconds_to_overtake() <= 0)

    def _seconds_to_overtake(self) -> float:
        return self._turn_began_at + self._policy.overtake_after - time.monotonic()
