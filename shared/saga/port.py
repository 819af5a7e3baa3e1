"""The port between the API that both saga services share and the sagas of one style, which implement it.

`service.py` beside this calls it. `saga_orchestrator/service.py` implements it by the built-in runtime,
`saga_choreography/service.py` by the read model that is built from events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Subquery, Table

from shared.auditing.log import AuditLog
from shared.database.connections import Database, Row
from shared.errors import Conflict
from shared.messaging.outbox import Outbox
from shared.saga.definition import DefinitionOut
from shared.saga.frozen import FrozenCheckout
from shared.saga.timeline_views import TimelineEntryOut
from shared.saga.views import SagaOut, SagaSummary

NewSagaT = TypeVar("NewSagaT")  # a saga as the style stores it first
SagaT = TypeVar("SagaT")  # a saga as the style stores it
HistoryT = TypeVar("HistoryT")  # what happened to a saga, as the style stores it


@dataclass(frozen=True)
class OperatorRequest:
    """Why an operator wants a saga compensated or retried, who that is, and the `traceparent` of the HTTP request."""

    reason: str
    by: str
    trace: str


@dataclass(frozen=True)
class SagaTables:
    """Where a style stores its sagas, for the queries that are the same in both.

    `sagas` has a row for each saga, and the columns by which `listing.py` filters; `live` is the condition, of which
    there is an index, that a saga has not ended; `audit_log` logs their changes; `operations` has the columns of
    `OperationOut`. A service that publishes events has an `outbox`.
    """

    database: Database
    sagas: Table
    live: ColumnElement[bool]
    audit_log: AuditLog
    operations: Subquery
    outbox: Outbox | None = None


class ListedSagas(Protocol):
    """The part of the port for lists of sagas, which is the same however a style stores one saga."""

    tables: SagaTables

    def summary(self, row: Row) -> SagaSummary:
        """A row of `tables.sagas` as the API lists it."""


class Sagas(ListedSagas, Protocol[NewSagaT, SagaT, HistoryT]):
    """The sagas of one style. Methods that take a connection run in the caller's transaction.

    Of the other methods, only `accept` does I/O.
    """

    path: str  # of the API, under which each saga has its own
    definition: DefinitionOut
    ends: str  # the channel on which PostgreSQL notifies of the sagas that end

    def new_saga(self, checkout: FrozenCheckout) -> NewSagaT:
        """Make the saga of a checkout, to be accepted."""

    def accept(self, new_sagas: Sequence[NewSagaT]) -> Sequence[bool | Conflict]:
        """Accept these sagas in a transaction of its own; accepting again changes nothing.

        Returns for each: True for a saga that has not ended, False for one that may have ended, `SagaOfAnotherCheckout`
        when it was accepted for another checkout, `TooOld` when it may have been purged.
        """

    def find(self, connection: Connection, saga_ids: Sequence[UUID]) -> Mapping[UUID, SagaT]:
        """Return those of these sagas that exist, by id."""

    def get_history(self, connection: Connection, saga_id: UUID) -> HistoryT:
        """Return all that happened to a saga; raises `SagaNotFound`."""

    def compensate(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> SagaT:
        """Turn a saga back, also a completed one; raises `SagaNotFound`, `TooOld`."""

    def retry(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> SagaT:
        """Retry a waiting saga now; raises `SagaNotFound`, `SagaEnded`."""

    def view(self, saga: SagaT) -> SagaOut:
        """Return the saga as the API shows it."""

    def timeline(self, history: HistoryT) -> list[TimelineEntryOut]:
        """Return the entries of a saga's timeline as the API shows them, in order."""
