"""Gauges for alarms: sagas that are stuck, and sagas and events that pile up."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from shared.database.connections import is_unavailable
from shared.saga.port import SagaTables
from shared.saga.states import ENDED, SagaStatus


class LiveSagas(Collector):
    """Sagas that have not ended, by status, and events that are not published yet; counted at each scrape."""

    def __init__(self, tables: SagaTables) -> None:
        self._tables = tables

    def collect(self) -> Iterable[Metric]:
        """Read the gauges; none while the database is unavailable, so that the other metrics are still served."""
        try:
            return self._counted()
        except Exception as error:
            if not is_unavailable(error):
                raise
            return []

    def describe(self) -> Iterable[Metric]:
        """Return the names of the gauges; needed for registering, which must not query."""
        return [_live({})] if self._tables.outbox is None else [_live({}), _unpublished()]

    def _counted(self) -> list[GaugeMetricFamily]:
        status = self._tables.sagas.c.status
        statement = select(status, func.count()).where(self._tables.live).group_by(status)
        with self._tables.database.transaction() as connection:
            gauges = [_live({row[0]: row[1] for row in connection.execute(statement)})]
            if self._tables.outbox is not None:
                gauges.append(_unpublished(self._tables.outbox.waiting(connection)))
        return gauges


def _live(counts: Mapping[str, int]) -> GaugeMetricFamily:
    """Include a zero for each status without sagas, so that an alert can tell zero from no answer."""
    gauge = GaugeMetricFamily("sagas_live", "Sagas that have not ended", labels=["status"])
    for status in SagaStatus:
        if status not in ENDED:
            gauge.add_metric([status], counts.get(status, 0))
    return gauge


def _unpublished(count: int = 0) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily("outbox_waiting", "Events that are not published yet", labels=[])
    gauge.add_metric([], count)
    return gauge
