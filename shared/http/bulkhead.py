"""A bulkhead: a bound on how many requests of a process wait for another service at the same time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.http.client import PeerUnavailable


class Bulkhead:
    """At most `limit` requests wait for `peer`, so that a slow peer cannot occupy all threads of a process."""

    def __init__(self, peer: str, limit: int) -> None:
        self._peer = peer
        self._free = threading.BoundedSemaphore(limit)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Occupy one of the places while the block runs; raise `PeerUnavailable` at once when all are taken."""
        with self.enter_if_free() as entered:
            if not entered:
                raise PeerUnavailable(f"{self._peer}: too many requests wait for it already", service=self._peer)
            yield

    @contextmanager
    def enter_if_free(self) -> Iterator[bool]:
        """As `enter`, but yield False when all places are taken."""
        entered = self._free.acquire(blocking=False)
        try:
            yield entered
        finally:
            if entered:
                self._free.release()
