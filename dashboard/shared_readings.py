"""Shares a reading among requests for it within a moment, so that many viewers cause no more load."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

SHARED_SECONDS = 1.0  # the shortest time between two reloads of the list
MOST = 64  # readings that are kept: more filters than viewers use within a second


class SharedReadings(Generic[K, V]):
    """The first request for a reading makes it; concurrent requests wait for its result. Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._readings: OrderedDict[K, tuple[float, Future[V]]] = OrderedDict()

    def get(self, key: K, read: Callable[[], V], seconds: float = SHARED_SECONDS) -> V:
        """Return the reading under this key that is being made, or is not older than `seconds`; else make one.

        Raises what `read` raises, in all requests that share it.
        """
        future, is_mine = self._begun(key, seconds)
        if is_mine:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _begun(self, key: K, seconds: float) -> tuple[Future[V], bool]:
        """Return the reading, and whether the caller has to make it."""
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
