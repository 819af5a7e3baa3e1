"""What an operator should be woken by: sagas that are stuck, and sagas that pile up."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from saga_choreography.models import db, outbox, sagas
from shared.database.connections import is_unavailable
from shared.saga.states import ENDED, SagaStatus


class LiveSagas(Collector):
    """Sagas that have not ended, by status, and events not published yet; counted at each scrape."""

    def collect(self) -> Iterable[Metric]:
        """A status that no saga has is zero, so that an alarm on it can tell that from silence."""
        live, unpublished = self.describe()
        statement = select(sagas.c.status, func.count()).where(sagas.c.status.not_in(ENDED)).group_by(sagas.c.status)
        try:
            with db.transaction() as connection:
                counts = {row[0]: row[1] for row in connection.execute(statement)}
                unpublished.add_metric([], outbox.waiting(connection))
        except Exception as error:
            if not is_unavailable(error):
                raise
            return []  # the other metrics are wanted all the more
        for status in SagaStatus:
            if status not in ENDED:
                live.add_metric([status], counts.get(status, 0))
        return [live, unpublished]

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        """Their names, without asking the database when they are registered."""
        return (
            GaugeMetricFamily("sagas_live", "Sagas that have not ended", labels=["status"]),
            GaugeMetricFamily("outbox_waiting", "Events that are not published yet", labels=[]),
        )
