"""A bound on how many requests of a process wait for another service at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.http.client import PeerUnavailable


class Places:
    """Each request that waits for `peer` takes one of `count` places; the threads beside those stay free for others."""

    def __init__(self, peer: str, count: int) -> None:
        self._peer = peer
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def take(self) -> Iterator[None]:
        """Have a place for as long as this lasts; raises `PeerUnavailable` at once when there is none."""
        with self.take_if_free() as taken:
            if not taken:
                raise PeerUnavailable(f"{self._peer}: too many requests wait for it already", service=self._peer)
            yield

    @contextmanager
    def take_if_free(self) -> Iterator[bool]:
        """As `take`; False when there is none."""
        taken = self._free.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._free.release()
