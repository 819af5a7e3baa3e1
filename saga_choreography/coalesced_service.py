"""The use cases of a checkout's request, coalesced: concurrent requests share one transaction."""

from collections.abc import Sequence
from uuid import UUID

from saga_choreography import service
from saga_choreography.domain import Checkout, Limits, SagaNotFound
from saga_choreography.models import db
from shared.batching.coalescer import Coalescer
from shared.database.connections import Row
from shared.errors import Conflict
from shared.saga.states import SagaStatus


class CoalescedService:
    """Each use case of one item, on the list use case of `service.py`. Thread-safe; call it in the app's context."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._register: Coalescer[Checkout, SagaStatus] = Coalescer(self._register_all)
        self._get: Coalescer[UUID, Row] = Coalescer(self._get_all)

    def register(self, checkout: Checkout) -> SagaStatus:
        """See `service.register`; raises `CartRefused`, `TooOld`."""
        return self._register(checkout)

    def get(self, saga_id: UUID) -> Row:
        """A saga; raises `SagaNotFound`."""
        return self._get(saga_id)

    def _register_all(self, checkouts: Sequence[Checkout]) -> Sequence[SagaStatus | Conflict]:
        with db.transaction() as connection:
            return service.register(connection, checkouts, self._limits)

    def _get_all(self, saga_ids: Sequence[UUID]) -> Sequence[Row | SagaNotFound]:
        with db.transaction() as connection:
            return service.get_all(connection, saga_ids)
