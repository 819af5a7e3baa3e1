"""Measures what one checkout costs, on a quiet stack: the counters of services and PostgreSQL before and after it."""

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import requests

from stack import local_http
from stack.demo.shop import CHOREOGRAPHED, ORCHESTRATED, TIMEOUT, Json, Shop, ShopError
from stack.meters import Postgres

REQUESTS = re.compile(r'^http_requests_total\{method="(\w+)",route="([^"]+)".*\} (\S+)$', re.MULTILINE)
WINDOWS = {"/health", "/metrics", "/audit"}  # paths that are not part of a checkout
SHOWN = {ORCHESTRATED.service, CHOREOGRAPHED.service}  # requests to these come from those who watch a saga
# Delayed writes are done within this time; then nothing more is written.
QUIET_SECONDS, MOST_SECONDS = 0.4, 5.0


@dataclass(frozen=True)
class Costs:
    """Answered requests, with the client's; published events; transactions that wrote, None if not measured."""

    http_calls: int
    messages: int
    commits: int | None


@dataclass(frozen=True)
class Counts:
    """The requests that each service has answered so far, and the transactions that wrote."""

    answered: Mapping[str, int]
    transactions: int | None


class Meter:
    """Reads the counts. Without the URL of the services' database, transactions are not counted."""

    def __init__(self, shop: Shop, database_url: str | None) -> None:
        self._shop = shop
        self._session = local_http.session()
        self._postgres = None if database_url is None else Postgres(database_url)

    def counts(self) -> Counts:
        """Wait until nothing more is written, and return the counts."""
        transactions = self._transactions()
        until = time.monotonic() + MOST_SECONDS
        while time.monotonic() < until:
            time.sleep(QUIET_SECONDS)
            before, transactions = transactions, self._transactions()
            if before == transactions:
                break
        return Counts({service: self._answered(service) for service in self._shop.urls}, transactions)

    def costs(self, before: Counts, timeline: Collection[Json], restarted: Collection[str]) -> Costs:
        """Return the costs of the saga with this timeline since then. A `restarted` service counts from 0 again."""
        after = self.counts()
        calls = sum(
            count - (0 if name in restarted else before.answered[name]) for name, count in after.answered.items()
        )
        commits = None
        if after.transactions is not None and before.transactions is not None:
            commits = after.transactions - before.transactions
        return Costs(calls, sum(entry["kind"] == "event" for entry in timeline), commits)

    def close(self) -> None:
        """Close the connection to the database."""
        if self._postgres is not None:
            self._postgres.close()

    def _transactions(self) -> int | None:
        return None if self._postgres is None else self._postgres.written().transactions

    def _answered(self, service: str) -> int:
        url = f"{self._shop.urls[service]}/metrics"
        try:
            text = self._session.get(url, timeout=TIMEOUT).text
        except requests.RequestException as error:
            raise ShopError(f"No answer from {url}. Is everything up? make status") from error
        return sum(
            int(float(count))
            for method, route, count in REQUESTS.findall(text)
            if route not in WINDOWS and not (method == "GET" and service in SHOWN)
        )
