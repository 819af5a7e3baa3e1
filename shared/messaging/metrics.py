"""Gauges of an outbox: what waits to be published, and for how long."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection

from shared.database.connections import Database
from shared.database.metrics import DatabaseMetrics
from shared.messaging.outbox import Outbox


class OutboxMetrics(DatabaseMetrics):
    """Read by an index of the events that are not published."""

    def __init__(self, db: Database, outbox: Outbox) -> None:
        super().__init__(db)
        self._outbox = outbox

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        """Return the gauges without values."""
        return (
            GaugeMetricFamily("outbox_waiting", "Events that are not published yet", labels=["service"]),
            GaugeMetricFamily("outbox_oldest_seconds", "Age of the oldest of them", labels=["service"]),
        )

    def read(self, connection: Connection) -> Iterable[Metric]:
        """Return the gauges; 0 seconds without events that wait."""
        waiting, oldest = self.describe()
        waiting.add_metric([self._db.service], self._outbox.waiting(connection))
        oldest.add_metric([self._db.service], self._outbox.oldest_seconds(connection))
        return waiting, oldest
