"""Waiting for work without polling: PostgreSQL's LISTEN and NOTIFY, another thread, or a signal ends the wait.

A notification is lost when its connection breaks. So a caller looks for work whenever `wait` returns, whatever the
reason, and passes the seconds until its next work is due.
"""

import os
import selectors
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
from sqlalchemy import Connection, text

from shared.database.bounded import bounded
from shared.process import heartbeat

# A broken connection is noticed within half a minute, also while it is idle.
KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 3,  # to each host that the URL names
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

LISTEN_SECONDS = 3.0  # time limit of LISTEN itself


def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """Notify the listeners on this channel when the transaction commits."""
    connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


class SelfPipe:
    """The self-pipe trick: ends a `select` from any thread, and from a signal handler."""

    def __init__(self) -> None:
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)

    def fileno(self) -> int:
        """Return the end to select for reading."""
        return self._ends[0]

    def wake(self) -> None:
        """Make it readable, for the present `select` or the next one."""
        with suppress(BlockingIOError, OSError):  # full, or closed
            os.write(self._ends[1], b"x")

    def drain(self) -> None:
        """Make it unreadable until the next `wake`."""
        with suppress(BlockingIOError):
            while os.read(self._ends[0], 4096):
                pass

    def close(self) -> None:
        """Close both ends."""
        for end in self._ends:
            os.close(end)


class ShutdownSignal:
    """A request to shut down. It is never taken back, so `wait` returns at once from then on."""

    def __init__(self) -> None:
        self.requested = False
        self.pipe = SelfPipe()

    @classmethod
    def on_signals(cls) -> "ShutdownSignal":
        """Return one that SIGTERM and SIGINT request."""
        stop = cls()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.request())
        return stop

    def request(self) -> None:
        """Request it. Takes no lock, since the code that a signal handler interrupts could hold it."""
        self.requested = True
        self.pipe.wake()

    def wait(self, seconds: float) -> None:
        """Wait until it is requested, or for so many seconds."""
        _wait([self.pipe], seconds)


class Listener:
    """LISTENs on one channel. One thread calls `wait`; any thread may call `wake`."""

    def __init__(self, database_url: str, channel: str, opened: Callable[[Any], None] = lambda _: None) -> None:
        """`opened` gets a cursor of each new connection, for example to take a session-level lock."""
        self._opened = opened
        self._dsn = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._channel = channel
        self._connection: psycopg2.extensions.connection | None = None
        self._pipe = SelfPipe()

    def open(self) -> None:
        """Connect and LISTEN, unless connected; raises `psycopg2.Error`. Look for work after this and before `wait`."""
        if self._connection is None or self._connection.closed:
            connection = psycopg2.connect(
                self._dsn, application_name=f"listen {self._channel}", **KEEPALIVES, **bounded(LISTEN_SECONDS)
            )
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(f"LISTEN {self._channel}")
                    self._opened(cursor)
            except psycopg2.Error:
                connection.close()
                raise
            self._connection = connection

    def fileno(self) -> int:
        """Return the socket to select in a loop of one's own; when it is readable, call `wait(0)`."""
        if self._connection is None:
            raise psycopg2.OperationalError("not listening")
        return int(self._connection.fileno())

    def wait(self, seconds: float | None, stop: ShutdownSignal | None = None) -> list[str]:
        """Wait for notifications, a `wake`, a shutdown, or so many seconds; return the payloads that arrived.

        Raises `psycopg2.OperationalError` when the connection broke; `open` makes another one.
        """
        connection = self._connection
        if connection is None:
            raise psycopg2.OperationalError("not listening")
        ready = _wait([connection, self._pipe, *([] if stop is None else [stop.pipe])], seconds)
        if self._pipe in ready:
            self._pipe.drain()
        if connection in ready:
            self._poll(connection)
        payloads = [notification.payload for notification in connection.notifies]
        connection.notifies.clear()
        return payloads

    def _poll(self, connection: psycopg2.extensions.connection) -> None:
        try:
            connection.poll()
        except psycopg2.Error as error:
            connection.close()
            raise psycopg2.OperationalError(str(error)) from error

    def wake(self) -> None:
        """Make `wait` return now."""
        self._pipe.wake()

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()
        self._pipe.close()


def _wait(sources: list[Any], seconds: float | None) -> list[Any]:
    """Return those of the sources that are readable; none after so many seconds."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        with heartbeat.resting():
            ready = selector.select(seconds)
    return [key.fileobj for key, _ in ready]
