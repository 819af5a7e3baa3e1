"""Gauges for alarms: sagas that are stuck, that pile up, or whose effects others see before their end."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, extract, func, select

from shared.database.connections import Row
from shared.database.metrics import DatabaseMetrics
from shared.saga.port import SagaTables
from shared.saga.states import ENDED, SagaStatus


class LiveSagas(DatabaseMetrics):
    """The sagas of a style that have not ended, counted at each scrape by the index of those."""

    def __init__(self, tables: SagaTables, style: str) -> None:
        super().__init__(tables.database)
        self._sagas, self._live, self._style = tables.sagas, tables.live, style

    def describe(self) -> tuple[GaugeMetricFamily, ...]:
        """Return the gauges without values."""
        style = ["style"]
        return (
            GaugeMetricFamily("sagas_live", "Sagas that have not ended", labels=["style", "status"]),
            GaugeMetricFamily("sagas_oldest_live_seconds", "Age of the oldest of them", labels=style),
            GaugeMetricFamily("sagas_retrying", "Sagas whose latest attempt failed", labels=style),
            GaugeMetricFamily(
                "sagas_books_open", "Live sagas with an effect: the services' books differ", labels=style
            ),
            GaugeMetricFamily("sagas_books_open_oldest_seconds", "Since when, of the oldest of them", labels=style),
        )

    def read(self, connection: Connection) -> Iterable[Metric]:
        """Return the gauges; 0 seconds where there are no such sagas."""
        sagas = self._sagas.c
        statement = (
            select(
                sagas.status,
                func.count().label("live"),
                func.count().filter(sagas.retrying).label("retrying"),
                func.count(sagas.first_effect_at).label("open"),
                extract("epoch", func.now() - func.min(sagas.created_at)).label("oldest"),
                extract("epoch", func.now() - func.min(sagas.first_effect_at)).label("oldest_open"),
            )
            .where(self._live)
            .group_by(sagas.status)
        )
        return self._gauges({row["status"]: row for row in connection.execute(statement).mappings()})

    def _gauges(self, found: Mapping[str, Row]) -> Iterable[Metric]:
        """Include a zero for each status without sagas, so that an alert can tell zero from no answer."""
        live, oldest, retrying, books_open, oldest_open = gauges = self.describe()
        for status in SagaStatus:
            if status not in ENDED:
                live.add_metric([self._style, status], found[status]["live"] if status in found else 0)
        rows, style = found.values(), [self._style]
        oldest.add_metric(style, max((float(row["oldest"]) for row in rows), default=0))
        retrying.add_metric(style, sum(row["retrying"] for row in rows))
        books_open.add_metric(style, sum(row["open"] for row in rows))
        oldest_open.add_metric(style, max((float(row["oldest_open"] or 0) for row in rows), default=0))
        return gauges
