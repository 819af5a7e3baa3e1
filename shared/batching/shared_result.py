"""One computation for all callers of a process that want its result at the same time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

ResultT = TypeVar("ResultT")


class SharedResult(Generic[ResultT]):
    """Computes a result whose concurrent callers share it.

    A caller within `fresh_seconds` of the last result, or while the next one is computed, gets the last one; callers
    before the first result wait for it. So a process computes one at a time, at most one each `fresh_seconds`, and a
    frozen server occupies one thread and one connection. An error goes to the caller whose computation it ends.
    """

    def __init__(self, compute: Callable[[], ResultT], fresh_seconds: float = 0) -> None:
        self._compute = compute
        self._fresh_seconds = fresh_seconds
        self._ended = threading.Condition()
        self._running = False
        self._results: list[ResultT] = []  # the last one
        self._fresh_until = 0.0

    def get(self) -> ResultT:
        """Return the last result, or a new one when that is too old and nobody else computes it."""
        with self._ended:
            self._ended.wait_for(lambda: self._results or not self._running)
            if self._results and (self._running or time.monotonic() < self._fresh_until):
                return self._results[0]
            self._running = True
        try:
            result = self._compute()
            self._results = [result]
            self._fresh_until = time.monotonic() + self._fresh_seconds
            return result
        finally:
            with self._ended:
                self._running = False
                self._ended.notify_all()
