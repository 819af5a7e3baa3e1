"""One style's change feed. One thread reads it for all viewers, only while there are any."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from dashboard.list_reading import CHANGES
from dashboard.ring import Ring
from dashboard.service_client import Refused, Unreachable

Read = Callable[[str, int], Mapping[str, Any]]  # (cursor or "", seconds to wait) -> an answer of `GET …/changes`
log = structlog.get_logger()

# Answers that are kept, some megabytes: a minute of changes while no answer is full; less while they are full, since
# then there is no pause between them.
KEPT = 240
WAIT_SECONDS = 10  # the longest wait for a change; also how long the feed is read after the last viewer has left
# The least time between two reads while the feed has less than a page: a burst of changes is read at once.
GATHER_SECONDS = 0.25
RETRY_SECONDS = 1.0  # after a failure


class Feed:
    """The condition `news` protects its fields, and is notified of every change."""

    def __init__(self, name: str, read: Read, news: threading.Condition, stopping: threading.Event) -> None:
        self.ring = Ring(KEPT)
        self.is_reachable: bool | None = None  # None: it was not read yet
        self._name, self._read, self._news, self._stopping = name, read, news, stopping
        self._viewers = 0
        self._thread: threading.Thread | None = None
        self._cursor = ""  # to read from; empty is the present
        self._full = 0  # full pages one after the other

    @property
    def is_reading(self) -> bool:
        """Whether the thread reads: there are viewers, or were a moment ago. Call with `news` held."""
        return self._thread is not None

    def join(self, cursor: str) -> int | None:
        """Add a viewer who knows the changes up to this cursor. Call with `news` held.

        Returns the number of that change, or None when the viewer has to load anew.
        """
        if self._thread is None:
            if self.ring.number_at(cursor) is None:
                self._begin(cursor)
                self.is_reachable = None
            thread = threading.Thread(target=self._run, name=f"feed-{self._name}", daemon=True)
            thread.start()  # or it raises, and nobody has joined
            self._thread = thread
        self._viewers += 1
        return self.ring.number_at(cursor)

    def leave(self) -> None:
        """Remove a viewer. Call with `news` held."""
        self._viewers -= 1

    def _run(self) -> None:
        while True:
            with self._news:
                if self._viewers == 0 or self._stopping.is_set():
                    self._thread = None
                    return
            started = time.monotonic()
            pause = self._read_once()
            self._stopping.wait(max(0.0, started + pause - time.monotonic()))

    def _read_once(self) -> float:
        """Read the feed and notify viewers; return the seconds until the next read."""
        try:
            answer = self._read(self._cursor, WAIT_SECONDS)
            with self._news:
                self._take(answer)
        except Exception as error:  # of any kind: no other thread would go on reading
            with self._news:
                self._fail(error)
            return RETRY_SECONDS
        return 0.0 if self._full else GATHER_SECONDS

    def _fail(self, error: Exception) -> None:
        """Have viewers load anew, once, so that they see the failure; drop a cursor that the service refused."""
        if self.is_reachable is not False:
            say = log.warning if isinstance(error, Unreachable | Refused) else log.exception
            say("feed not read", feed=self._name, error=str(error))
            self._begin(self._cursor)
        if not isinstance(error, Unreachable):
            self._cursor = ""
        self.is_reachable = False
        self._news.notify_all()

    def _take(self, answer: Mapping[str, Any]) -> None:
        items, cursor = answer["items"], str(answer["next"])
        self._full = self._full + 1 if len(items) == CHANGES else 0
        if self._full > KEPT:  # so far behind that viewers load anew in any case
            self._begin("")
        elif not self._cursor or answer["reset"] or self.is_reachable is False:
            self._begin(cursor)
        elif items:
            self.ring.add(cursor, tuple(str(item["saga_id"]) for item in items))
            self._cursor = cursor
        self.is_reachable = True
        self._news.notify_all()

    def _begin(self, cursor: str) -> None:
        self.ring.begin(cursor)
        self._cursor = cursor
