"""Reads counters of PostgreSQL and RabbitMQ: transactions that wrote, bytes written, and messages."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import requests

from stack import local_http
from stack.errors import StackError

# Every transaction that writes takes a number. So this counts the transactions that must reach the disk, and not those
# that only read. (Those that were rolled back, or do not wait for the disk, are counted, too.) PostgreSQL's statistics
# of commits include reading transactions, and are up to ten seconds late; these two functions are exact at once.
COUNTS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
BACKENDS = "SELECT pid, coalesce(application_name, '') FROM pg_stat_activity WHERE backend_type = 'client backend'"
STATEMENTS = "SELECT to_regclass('pg_stat_statements') IS NOT NULL", "SELECT sum(calls)::bigint FROM pg_stat_statements"
STATISTICS_SECONDS = 6  # RabbitMQ collects its own every 5 seconds


@dataclass(frozen=True)
class Written:
    """Transactions that wrote, and bytes of write-ahead log; of all databases of the server."""

    transactions: int
    wal_bytes: int

    def __sub__(self, before: "Written") -> "Written":
        return Written(self.transactions - before.transactions, self.wal_bytes - before.wal_bytes)


class Postgres:
    """The counters of the services' PostgreSQL."""

    def __init__(self, database_url: str) -> None:
        try:
            self._connection = psycopg2.connect(database_url.replace("postgresql+psycopg2:", "postgresql:", 1))
        except psycopg2.OperationalError as error:
            raise StackError(f"No PostgreSQL at DATABASE_URL: {error}") from error
        self._connection.autocommit = True

    def written(self) -> Written:
        """Return the counters."""
        ((transactions, wal_bytes),) = self._rows(COUNTS)
        return Written(int(transactions), int(wal_bytes))

    def statements(self) -> int | None:
        """Return how many statements were executed; None in a database without the extension pg_stat_statements."""
        exists, calls = STATEMENTS
        return int(self._rows(calls)[0][0]) if self._rows(exists)[0][0] else None

    def backends(self) -> dict[int, str]:
        """Return the application name of each connected client, by the pid of the server's process for it."""
        return dict(self._rows(BACKENDS))

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Messages:
    """Messages that RabbitMQ received from publishers, and delivered to consumers."""

    published: int
    delivered: int

    def __sub__(self, before: "Messages") -> "Messages":
        return Messages(self.published - before.published, self.delivered - before.delivered)


class RabbitMQ:
    """The counters of the stack's RabbitMQ, from its management API."""

    def __init__(self, management_port: str) -> None:
        self._url = f"http://127.0.0.1:{management_port}/api/overview"
        self._session = local_http.session()

    def messages(self) -> Messages:
        """Return the counters; takes some seconds, until they are complete."""
        time.sleep(STATISTICS_SECONDS)
        try:
            overview: Mapping[str, Any] = self._session.get(self._url, auth=("guest", "guest"), timeout=10).json()
        except requests.RequestException as error:
            raise StackError(f"No answer from RabbitMQ's management API: {error}") from error
        counts = overview["message_stats"]
        return Messages(counts.get("publish", 0), counts.get("deliver_get", 0))
