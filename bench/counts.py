"""What the services and PostgreSQL have counted so far, and how much of it one saga caused."""

from collections.abc import Mapping
from dataclasses import dataclass

import requests

from bench.client import TIMEOUT
from stack import local_http
from stack.costs import REQUESTS, WINDOWS
from stack.errors import StackError
from stack.meters import Postgres


@dataclass(frozen=True)
class Counts:
    """HTTP requests answered by all services, transactions that wrote, bytes of write-ahead log, and statements.

    Statements are None where PostgreSQL does not count them.
    """

    http_requests: int
    writing_transactions: int
    wal_bytes: int
    statements: int | None

    def since(self, before: "Counts") -> "Counts":
        """Return what was counted since `before`."""
        statements = None
        if self.statements is not None and before.statements is not None:
            statements = self.statements - before.statements
        return Counts(
            self.http_requests - before.http_requests,
            self.writing_transactions - before.writing_transactions,
            self.wal_bytes - before.wal_bytes,
            statements,
        )


def requests_in(metrics: str) -> int:
    """Return the number of requests that a service's metrics count, without those for health, metrics and audit."""
    return sum(int(float(count)) for _, route, count in REQUESTS.findall(metrics) if route not in WINDOWS)


@dataclass(frozen=True)
class Counters:
    """Reads the counts of the services at these URLs, and of PostgreSQL."""

    urls: Mapping[str, str]
    postgres: Postgres

    def read(self) -> Counts:
        """Return the counts; raises `StackError` when a service does not answer."""
        written = self.postgres.written()
        answered = sum(requests_in(self._metrics(url)) for url in self.urls.values())
        return Counts(answered, written.transactions, written.wal_bytes, self.postgres.statements())

    @staticmethod
    def _metrics(url: str) -> str:
        try:
            with local_http.session() as session:
                return session.get(f"{url}/metrics", timeout=TIMEOUT).text
        except requests.RequestException as error:
            raise StackError(f"No answer from {url}/metrics: {error}") from error
