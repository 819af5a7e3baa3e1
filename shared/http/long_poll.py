"""Long polling: `Prefer: wait=N` (RFC 7240) delays an answer until the saga has ended, as PostgreSQL notifies."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from shared.database.connections import is_unavailable
from shared.database.listen import Listener, ShutdownSignal

RECONNECT_SECONDS = 0.5  # between two tries to listen while the database is unavailable
log = structlog.get_logger()


def preferred_wait(header: str, most: float) -> float:
    """Return the seconds that a Prefer header wants to wait, at most `most`; 0 when it names none."""
    match = re.search(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})', header, re.IGNORECASE)
    return min(float(match[1]), most) if match else 0.0


class Waiter:
    """One request that waits for a saga to end, with a deadline."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.notified = threading.Event()
        self._deadline = time.monotonic() + seconds

    def wait(self) -> bool:
        """Wait for the next notification or the deadline; return False when the deadline had passed before."""
        left = self._deadline - time.monotonic()
        self.notified.wait(max(0.0, left))
        self.notified.clear()
        return left > 0


class CompletionNotifier:
    """Notifies waiters of the sagas that end. One thread listens for all of them; it starts with the first waiter."""

    def __init__(self, database_url: str, channel: str, max_waiters: int) -> None:
        """The payload of a notification on `channel` is the id of the saga that has ended.

        At most `max_waiters` requests wait at the same time; a further request is answered without waiting.
        """
        self._listener = Listener(database_url, channel)
        self._free = threading.BoundedSemaphore(max_waiters)
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self._stop = ShutdownSignal()

    def close(self) -> None:
        """Stop listening; the waiters that are left are not notified any more."""
        self._stop.request()
        if self._thread is not None:
            self._thread.join()
        self._listener.close()

    @contextmanager
    def waiter(self, saga_id: UUID, seconds: float) -> Iterator[Waiter | None]:
        """Yield a waiter that is notified of all that happens to the saga from here on, also before it waits.

        None when the request is not to wait: `seconds` is 0, or there are `max_waiters` already.
        """
        if seconds <= 0 or not self._free.acquire(blocking=False):
            yield None
            return
        waiter = Waiter(seconds)
        try:
            with self._lock:
                self._waiters[str(saga_id)].add(waiter)
                self._listen()
            yield waiter
        finally:
            with self._lock:
                self._waiters[str(saga_id)].discard(waiter)
                if not self._waiters[str(saga_id)]:
                    del self._waiters[str(saga_id)]
            self._free.release()

    def notify(self, saga_ids: Iterable[str]) -> None:
        """Notify the waiters of these sagas, which ended in this process, before PostgreSQL does."""
        for saga_id in saga_ids:
            self._notify(saga_id)

    def _listen(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="completions", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.requested:
            try:
                self._listener.open()
                self._notify(None)  # a saga may have ended while nothing listened
                while not self._stop.requested:
                    for saga_id in self._listener.wait(None, self._stop):
                        self._notify(saga_id)
            except Exception as error:
                say = log.warning if is_unavailable(error) else log.exception
                say("not listening", error=str(error).strip())
                self._stop.wait(RECONNECT_SECONDS)

    def _notify(self, saga_id: str | None) -> None:
        """Notify the waiters of this saga; of every saga for None."""
        with self._lock:
            for each in tuple(self._waiters) if saga_id is None else (saga_id,):
                for waiter in self._waiters.get(each, ()):
                    waiter.notified.set()
