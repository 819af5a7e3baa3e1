"""The use cases of the API that both saga services share, over the sagas of one style (`port.py`)."""

from collections.abc import Sequence
from typing import Generic
from uuid import UUID

from shared.batching.coalescer import Coalescer
from shared.saga import listing, operations
from shared.saga.changes import ChangeFeed, SagaChangesOut, SagaChangesQuery
from shared.saga.errors import SagaNotFound
from shared.saga.frozen import FrozenCheckout
from shared.saga.operations import OperationsOut, OperationsQuery
from shared.saga.port import HistoryT, NewSagaT, OperatorRequest, Sagas, SagaT
from shared.saga.stats import StatsOut, stats_of
from shared.saga.timeline_views import TimelineOut
from shared.saga.views import ListQuery, SagaOut, SagasOut


class SagaService(Generic[NewSagaT, SagaT, HistoryT]):
    """One transaction for each use case; those of a checkout's request are coalesced: concurrent ones share one.

    Thread-safe; call it in the app's context.
    """

    def __init__(self, sagas: Sagas[NewSagaT, SagaT, HistoryT], changes: ChangeFeed) -> None:
        self._sagas, self.changes = sagas, changes
        self.path, self.definition = sagas.path, sagas.definition
        self._transaction = sagas.tables.database.transaction
        self._accept: Coalescer[NewSagaT, bool] = Coalescer(sagas.accept)
        self._get: Coalescer[UUID, SagaT] = Coalescer(self._get_all)

    def accept(self, checkout: FrozenCheckout) -> bool:
        """Accept the checkout's saga; return False when it may have ended. Raises `SagaOfAnotherCheckout`, `TooOld`."""
        return self._accept(self._sagas.new_saga(checkout))  # converted outside the shared transaction

    def get(self, saga_id: UUID) -> SagaOut:
        """Return a saga; raises `SagaNotFound`."""
        return self._sagas.view(self._get(saga_id))

    def list_sagas(self, query: ListQuery) -> SagasOut:
        """Return a page of sagas."""
        with self._transaction() as connection:
            return listing.page_of(connection, self._sagas, query)

    def list_changes(self, query: SagaChangesQuery) -> SagaChangesOut:
        """Return sagas that changed after a position; with `wait`, as soon as there are any."""
        return self.changes.read(query)

    def get_timeline(self, saga_id: UUID) -> TimelineOut:
        """Return all that happened to a saga; raises `SagaNotFound`."""
        with self._transaction() as connection:
            history = self._sagas.get_history(connection, saga_id)
        return TimelineOut(saga_id=saga_id, items=self._sagas.timeline(history))

    def compensate(self, saga_id: UUID, request: OperatorRequest) -> SagaOut:
        """Turn a saga back, also a completed one; raises `SagaNotFound`, `TooOld`."""
        with self._transaction() as connection:
            saga = self._sagas.compensate(connection, saga_id, request)
        return self._sagas.view(saga)

    def retry(self, saga_id: UUID, request: OperatorRequest) -> SagaOut:
        """Retry a waiting saga now; raises `SagaNotFound`, `SagaEnded`."""
        with self._transaction() as connection:
            saga = self._sagas.retry(connection, saga_id, request)
        return self._sagas.view(saga)

    def get_stats(self, seconds: int) -> StatsOut:
        """Return statistics of the last `seconds` seconds."""
        with self._transaction() as connection:
            return stats_of(connection, self._sagas.tables.sagas, seconds)

    def list_operations(self, query: OperationsQuery) -> OperationsOut:
        """Return a page of operators' requests."""
        with self._transaction() as connection:
            return operations.page_of(connection, self._sagas.tables.operations, query)

    def _get_all(self, saga_ids: Sequence[UUID]) -> Sequence[SagaT | SagaNotFound]:
        with self._transaction() as connection:
            found = self._sagas.find(connection, saga_ids)
        return [found.get(saga_id) or SagaNotFound(saga_id) for saga_id in saga_ids]
