"""Waking on commit: PostgreSQL's LISTEN and NOTIFY, so that nothing has to poll.

A notification can be lost with its connection, so whoever waits looks for work again after `wait` returns, whatever
woke it, and never waits longer than until the next thing is due.
"""

import os
import select
from contextlib import suppress
from typing import Any

import psycopg2
from sqlalchemy import Connection, text


def notify(uow: Connection, channel: str, payload: str = "") -> None:
    """Wake whoever listens, when this transaction commits."""
    uow.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


class Listener:
    """One process's ear. `wait` is for one thread; `wake` may be called from any, and from a signal handler."""

    def __init__(self, database_url: str, channel: str) -> None:
        self._dsn = database_url.replace("postgresql+psycopg2://", "postgresql://", 1)
        self._channel = channel
        self._connection: psycopg2.extensions.connection | None = None
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)

    def open(self) -> None:
        """Begin to listen; raises `psycopg2.OperationalError`. Look for work after this and before `wait`."""
        if self._connection is None or self._connection.closed:
            connection = psycopg2.connect(self._dsn, connect_timeout=5, application_name=f"listen {self._channel}")
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {self._channel}")
            self._connection = connection

    def wait(self, seconds: float | None) -> list[str]:
        """Wait for notifications, a `wake`, or so many seconds; the payloads that came.

        Raises `psycopg2.OperationalError` when the connection broke; `open` makes another.
        """
        connection = self._connection
        if connection is None:
            raise psycopg2.OperationalError("not listening")
        sources: list[Any] = [connection, self._pipe[0]]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._pipe[0] in ready:
            with suppress(BlockingIOError):
                os.read(self._pipe[0], 4096)
        if connection in ready:
            self._poll(connection)
        payloads = [notification.payload for notification in connection.notifies]
        connection.notifies.clear()
        return payloads

    def _poll(self, connection: psycopg2.extensions.connection) -> None:
        try:
            connection.poll()
        except psycopg2.Error:
            connection.close()
            raise

    def wake(self) -> None:
        """Make `wait` return now."""
        with suppress(BlockingIOError):
            os.write(self._pipe[1], b"x")

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()
        for end in self._pipe:
            os.close(end)
