"""What an operator should be woken by: sagas that are stuck, and sagas that pile up."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from saga_orchestrator.engine import ENDED, SagaStatus
from saga_orchestrator.models import db, sagas
from shared.db import is_unavailable


class LiveSagas(Collector):
    """Sagas that have not ended, by status; counted when it is asked for, over the index of those alone."""

    def collect(self) -> Iterable[Metric]:
        """One gauge; a status that no saga has is zero, so that an alarm on it can tell that from silence."""
        gauge = GaugeMetricFamily("sagas_live", "Sagas that have not ended", labels=["status"])
        statement = select(sagas.c.status, func.count()).where(sagas.c.due_at.is_not(None)).group_by(sagas.c.status)
        try:
            with db.transaction() as uow:
                counts = {row[0]: row[1] for row in uow.execute(statement)}
        except Exception as error:
            if not is_unavailable(error):
                raise
            return []  # the other metrics are wanted all the more
        for status in SagaStatus:
            if status not in ENDED:
                gauge.add_metric([status], counts.get(status, 0))
        return [gauge]

    def describe(self) -> Iterable[Metric]:
        """Its name, without asking the database when it is registered."""
        return [GaugeMetricFamily("sagas_live", "Sagas that have not ended", labels=["status"])]
