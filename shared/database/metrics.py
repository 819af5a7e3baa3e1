"""Gauges that are read at each scrape: from the database, and of a process's pools of connections."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from flask import Flask
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.pool import QueuePool

from shared.batching.shared_result import SharedResult
from shared.database.connections import Database, is_unavailable


class DatabaseMetrics(ABC):
    """Metrics of what all processes of a service share, so each of its web processes shows the same."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @abstractmethod
    def describe(self) -> Sequence[Metric]:
        """Return the metrics without values, for their names; must not query."""

    @abstractmethod
    def read(self, connection: Connection) -> Iterable[Metric]:
        """Return the metrics with their values."""


class StateMetrics(Collector):
    """Reads all of a service's `DatabaseMetrics` at a scrape, in one transaction; concurrent scrapes share one read.

    So a database that does not answer costs a scrape one time limit, which is less than Prometheus waits for it, and
    all scrapes together one connection and one thread; what the process counts is shown all the same.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._all: list[DatabaseMetrics] = []
        self._shared = SharedResult(self._read)

    def add(self, metrics: DatabaseMetrics) -> None:
        """Show these, too."""
        self._all.append(metrics)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is added later is not known yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read the metrics, in the app's context; none from where on the database is unavailable, which one tells."""
        return self._shared.get()

    def _read(self) -> list[Metric]:
        found: list[Metric] = []
        readable = GaugeMetricFamily(
            "database_readable", "Whether a scrape read all that it shows of a service's database", labels=["service"]
        )
        try:
            with self._db.transaction() as connection:
                for metrics in self._all:
                    found.extend(metrics.read(connection))
            readable.add_metric([self._db.service], 1)
        except Exception as error:
            if not is_unavailable(error):
                raise
            readable.add_metric([self._db.service], 0)
        return [*found, readable]


class PoolMetrics(Collector):
    """How many connections of each pool of this process are in use, of how many."""

    def __init__(self, db: Database, app: Flask) -> None:
        self._db, self._apps = db, {"own": app}

    def add(self, name: str, app: Flask) -> None:
        """Show the pool of another app of this process, too, by this name."""
        self._apps[name] = app

    def collect(self) -> Iterable[Metric]:
        """Read the gauges; connects to nothing."""
        in_use, most = self.describe()
        for name, app in self._apps.items():
            with app.app_context():
                pool = self._db.engine.pool
            if isinstance(pool, QueuePool):
                in_use.add_metric([self._db.service, name], pool.checkedout())
                most.add_metric([self._db.service, name], pool.size())
        return in_use, most

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        """Return the gauges without values."""
        labels = ["service", "pool"]
        return (
            GaugeMetricFamily("database_connections_in_use", "Connections that are in use", labels=labels),
            GaugeMetricFamily("database_connections_limit", "Connections that the pool may have", labels=labels),
        )
