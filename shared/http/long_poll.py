"""`Prefer: wait=N` (RFC 7240): hold the answer until the saga has ended, woken by PostgreSQL."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

import structlog

from shared.database.connections import is_unavailable
from shared.database.listen import Listener, Stop

RECONNECT_SECONDS = 0.5  # how soon to listen again when the database was away
T = TypeVar("T")
log = structlog.get_logger()


def preferred_wait(header: str, most: float) -> float:
    """Seconds that a Prefer header asks to wait, at most `most`; 0 when it doesn't."""
    match = re.search(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})', header, re.IGNORECASE)
    return min(float(match[1]), most) if match else 0.0


class Place:
    """Of one who waits for a saga to end, up to so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.woken = threading.Event()
        self._until = time.monotonic() + seconds

    def wait(self, most: float | None = None) -> bool:
        """Until the saga may have ended, or for `most` seconds; False when the time is over."""
        left = self._until - time.monotonic()
        self.woken.wait(max(0.0, left if most is None else min(left, most)))
        self.woken.clear()
        return left > 0

    def until(self, look: Callable[[], T], ended: Callable[[T], bool]) -> T:
        """Look now, and whenever it may have ended; what was seen when it has, or when the time is over."""
        while not ended(seen := look()) and self.wait():
            pass
        return seen


class Endings:
    """Who waits for which saga to end. One thread listens for all, from the first wait on."""

    def __init__(self, database_url: str, channel: str, places: int) -> None:
        """Notifications on `channel` name the saga that has ended, or whatever else is waited for.

        `places` requests may wait at once; a preference of any further one is not honoured.
        """
        self._listener = Listener(database_url, channel)
        self._places = threading.BoundedSemaphore(places)
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, set[Place]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._stop = Stop()

    def close(self) -> None:
        """Listen no more; who still waits is not told of anything."""
        self._stop.request()
        if self._thread is not None:
            self._thread.join()
        self._listener.close()

    def wait(self, saga_id: UUID, seconds: float, ended: Callable[[], bool]) -> bool:
        """Return when `ended` says so (asked now and whenever it may have changed), or so many seconds passed.

        False when the preference is not honoured: no time to wait, or no place.
        """
        with self.place(saga_id, seconds) as place:
            if place is None:
                return False
            place.until(ended, bool)
            return True

    @contextmanager
    def place(self, saga_id: UUID | str, seconds: float) -> Iterator["Place | None"]:
        """A place to wait; whatever happens to the saga from here on is heard there, so it may begin after this.

        None when the preference is not honoured: no time to wait, or no place.
        """
        if seconds <= 0 or not self._places.acquire(blocking=False):
            yield None
            return
        place = Place(seconds)
        try:
            with self._lock:
                self._waiting[str(saga_id)].add(place)
                self._listen()
            yield place
        finally:
            with self._lock:
                self._waiting[str(saga_id)].discard(place)
                if not self._waiting[str(saga_id)]:
                    del self._waiting[str(saga_id)]
            self._places.release()

    def _listen(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="endings", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.requested:
            try:
                self._listener.open()
                self._wake(None)  # what ended while nobody listened
                while not self._stop.requested:
                    for saga_id in self._listener.wait(None, self._stop):
                        self._wake(saga_id)
            except Exception as error:
                say = log.warning if is_unavailable(error) else log.exception
                say("not listening", error=str(error).strip())
                self._stop.wait(RECONNECT_SECONDS)

    def _wake(self, saga_id: str | None) -> None:
        with self._lock:
            ids = tuple(self._waiting) if saga_id is None else (saga_id,)
            for each in ids:
                for place in self._waiting.get(each, ()):
                    place.woken.set()
