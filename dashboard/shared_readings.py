"""Shares a reading among requests for it within a moment, so that many viewers cause no more load."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SHARED_SECONDS = 1.0  # as often as one page of the list asks for itself at most
MOST = 64  # readings that are kept: so many different filters are looked at within a second


class SharedReadings(Generic[K, V]):
    """Each reading is made by the first who asks for it; who asks meanwhile waits for it. Safe to use from threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._readings: OrderedDict[K, tuple[float, Future[V]]] = OrderedDict()

    def get(self, key: K, read: Callable[[], V], seconds: float = SHARED_SECONDS) -> V:
        """The reading under this key that is being made, or is not older than `seconds`.

        Raises what `read` raises, for all who share it.
        """
        future, is_mine = self._begun(key, seconds)
        if is_mine:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _begun(self, key: K, seconds: float) -> tuple[Future[V], bool]:
        """The reading, and whether the caller is the one to make it."""
        now = time.monotonic()
        with self._lock:
            known = self._readings.get(key)
            if known is not None and (not known[1].done() or now - known[0] < seconds):
                return known[1], False
            future: Future[V] = Future()
            self._readings[key] = now, future
            self._readings.move_to_end(key)
            while len(self._readings) > self._most:
                self._readings.popitem(last=False)
            return future, True
