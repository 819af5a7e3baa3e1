"""Metrics for alerts: a purge that does not run, or does not keep up."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Connection, text

from shared.config import ServiceSettings
from shared.database.connections import Database
from shared.database.metrics import DatabaseMetrics
from shared.purging.purge import Purge


class PurgeMetrics(DatabaseMetrics):
    """For each table: the time of its last purge, the rows deleted, the age of its oldest purgeable row, its retention.

    Read at each scrape, by an index. A table without purgeable rows has age 0.
    """

    def __init__(self, db: Database, purges: Sequence[Purge], settings: ServiceSettings) -> None:
        super().__init__(db)
        self._purges, self._settings = purges, settings

    def describe(self) -> tuple[CounterMetricFamily, GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        """Return the metrics' names, without a query when they are registered."""
        return (
            CounterMetricFamily("purged_rows", "Rows that were purged", labels=["service", "table"]),
            GaugeMetricFamily(
                "purge_last_run_seconds", "When a table was last purged (Unix time)", labels=["service", "table"]
            ),
            GaugeMetricFamily(
                "purge_oldest_row_seconds", "Age of the oldest row that is to go", labels=["service", "table"]
            ),
            GaugeMetricFamily("purge_retention_seconds", "Age at which rows go", labels=["service", "table"]),
        )

    def read(self, connection: Connection) -> Iterable[Metric]:
        """Return the metrics; a table that was never purged has only an age and a retention."""
        rows, last_run, oldest, retention = families = self.describe()
        runs = f"SELECT purged, rows, extract(epoch FROM ran_at) AS ran_at FROM {self._db.service}.purge_runs"  # noqa: S608  (our own)
        known = {run.purged: run for run in connection.execute(text(runs))}
        for purge in self._purges:
            table = purge.table.name
            labels = [self._db.service, table]
            if table in known:
                rows.add_metric(labels, known[table].rows)
                last_run.add_metric(labels, float(known[table].ran_at))
            oldest.add_metric(labels, float(connection.scalar(text(purge.oldest_sql())) or 0))
            retention.add_metric(labels, purge.seconds(self._settings))
        return families
