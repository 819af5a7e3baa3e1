"""Waking instead of polling: by PostgreSQL's NOTIFY on commit, by a thread, by a signal.

A notification can be lost with its connection, so whoever waits looks for work again after `wait` returns, whatever
woke it, and never waits longer than until the next thing is due.
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

# A peer that went away without a word is noticed within half a minute, also while nothing is said.
KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 3,  # to each host that the URL names
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

LISTEN_SECONDS = 3.0  # for LISTEN itself; whoever cannot wait looks for work without it


def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """Wake whoever listens, when this transaction commits."""
    connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


class Pipe:
    """Something to be woken by: writing to a pipe is safe from any thread, and in a signal handler."""

    def __init__(self) -> None:
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)

    def fileno(self) -> int:
        """The end to wait on."""
        return self._ends[0]

    def ring(self) -> None:
        """Wake whoever waits, or whoever waits next."""
        with suppress(BlockingIOError, OSError):  # full, or closed
            os.write(self._ends[1], b"x")

    def empty(self) -> None:
        """Forget the rings until now."""
        with suppress(BlockingIOError):
            while os.read(self._ends[0], 4096):
                pass

    def close(self) -> None:
        """Give the ends back."""
        for end in self._ends:
            os.close(end)


class Stop:
    """A request to stop. It is never taken back, so whoever waits with it does not wait from then on."""

    def __init__(self) -> None:
        self.requested = False
        self.pipe = Pipe()

    @classmethod
    def on_signals(cls) -> "Stop":
        """One that SIGTERM and SIGINT ask for."""
        stop = cls()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.request())
        return stop

    def request(self) -> None:
        """Ask; a flag and a pipe, since in a signal handler a lock could be held by whom it interrupts."""
        self.requested = True
        self.pipe.ring()

    def wait(self, seconds: float) -> None:
        """Until it is requested, or so many seconds."""
        _wait([self.pipe], seconds)


class Listener:
    """One process's ear. `wait` is for one thread, `wake` for any."""

    def __init__(self, database_url: str, channel: str, opened: Callable[[Any], None] = lambda _: None) -> None:
        """`opened` is given a cursor of each connection that is made, for what is to last as long as it does."""
        self._opened = opened
        self._dsn = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._channel = channel
        self._connection: psycopg2.extensions.connection | None = None
        self._pipe = Pipe()

    def open(self) -> None:
        """Begin to listen; raises `psycopg2.Error`. Look for work after this and before `wait`."""
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
        """What to watch for something to read, by who has a loop of its own; then `wait(0)`."""
        if self._connection is None:
            raise psycopg2.OperationalError("not listening")
        return int(self._connection.fileno())

    def wait(self, seconds: float | None, stop: Stop | None = None) -> list[str]:
        """Wait for notifications, a `wake`, a request to stop, or so many seconds; the payloads that came.

        Raises `psycopg2.OperationalError` when the connection broke; `open` makes another.
        """
        connection = self._connection
        if connection is None:
            raise psycopg2.OperationalError("not listening")
        ready = _wait([connection, self._pipe, *([] if stop is None else [stop.pipe])], seconds)
        if self._pipe in ready:
            self._pipe.empty()
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
        self._pipe.ring()

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()
        self._pipe.close()


def _wait(sources: list[Any], seconds: float | None) -> list[Any]:
    """Which of these have something to read; none when so many seconds passed first."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        with heartbeat.resting():
            ready = selector.select(seconds)
    return [key.fileobj for key, _ in ready]
