"""The use cases of the choreography, and the port by which the API that both saga services share calls them.

A use case runs in the caller's transaction. The port is `shared/saga/port.py`.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from saga_choreography import saga_store, schemas
from saga_choreography.choreography import CHECKOUT
from saga_choreography.config import Settings
from saga_choreography.domain import Cancellation, Checkout, Limits, Resend
from saga_choreography.models import audit_log, db, outbox, sagas
from saga_choreography.projection import fault_of, turned_back
from saga_choreography.recording import record
from saga_choreography.saga_store import ENDS, SagaFacts, SagaHistory, StoredSaga
from saga_choreography.timeline import timeline_out
from shared.database.connections import Row
from shared.errors import Conflict
from shared.event_bus import CheckoutCancelRequested, Event, SagaResendRequested
from shared.purging.retention import TooOld, check_undoable
from shared.saga.errors import SagaEnded, SagaNotFound, SagaOfAnotherCheckout
from shared.saga.frozen import FrozenCheckout
from shared.saga.port import OperatorRequest, SagaTables
from shared.saga.states import ENDED, SagaStatus
from shared.saga.timeline_views import TimelineEntryOut
from shared.saga.views import SagaOut, SagaSummary

FAILING_STEPS = tuple(step.name for step in CHECKOUT.steps)


def register(connection: Connection, checkouts: Sequence[Checkout], limits: Limits) -> list[SagaStatus | Conflict]:
    """Register these sagas, so that they are shown and watched; return the status of each. Repeating changes nothing.

    `TooOld` stands for a saga that may have been purged, `SagaOfAnotherCheckout` for one about another checkout. Events
    of a saga may arrive before this; without `checkout.initiated` among them, only its cart is compared. The
    transaction must be durable when the request is answered: carrito does not hand the checkout over again, and the
    first event may be lost.
    """
    by_id = {each.saga_id: each for each in checkouts}
    new = saga_store.register(connection, [*by_id.values()], limits)
    older = by_id.keys() - new
    known: dict[UUID, Checkout | StoredSaga] = {saga_id: by_id[saga_id] for saga_id in new}
    if older:
        known |= saga_store.find(connection, [*older])
    return [_registered(each, known.get(each.saga_id)) for each in checkouts]


def _registered(checkout: Checkout, known: Checkout | StoredSaga | None) -> SagaStatus | Conflict:
    if known is None:
        return TooOld(f"saga {checkout.saga_id} is too old to begin", saga_id=checkout.saga_id)
    if any(getattr(known, name) not in {value, None} for name, value in vars(checkout).items()):
        return SagaOfAnotherCheckout(checkout.saga_id)
    return SagaStatus(known.status) if isinstance(known, StoredSaga) else SagaStatus.PENDING


def history_of(connection: Connection, saga_id: UUID) -> SagaHistory:
    """Return all events and notes of a saga; raises `SagaNotFound`."""
    if not saga_store.find(connection, [saga_id]):
        raise SagaNotFound(saga_id)
    return saga_store.history_of(connection, saga_id)


def compensate_saga(connection: Connection, saga_id: UUID, request: Cancellation, limits: Limits) -> StoredSaga:
    """Request that a saga turns back, also a completed one. Of a saga that has turned back, request its events again.

    inventario is the arbiter: the request goes to it alone. Raises `SagaNotFound` and `TooOld`.
    """
    saga = _locked(connection, saga_id)
    saga_store.note(connection, [saga_id], "compensation_requested", request.by, reason=request.reason)
    if not turned_back(saga.facts):
        check_undoable(connection, saga_id)
        cancel(connection, [saga], request, limits)
        return saga_store.find(connection, [saga_id])[saga_id]
    if saga.status not in ENDED:
        resend(connection, [saga], Resend(request.reason, request.by, request.trace))
    return saga


def retry_saga(connection: Connection, saga_id: UUID, request: Resend) -> StoredSaga:
    """Request all events of a saga again, since one may have been lost; raises `SagaNotFound`, `SagaEnded`."""
    saga = _locked(connection, saga_id)
    if saga.status in ENDED:
        raise SagaEnded(saga_id, saga.status)
    saga_store.note(connection, [saga_id], "retry_requested", request.by, reason=request.reason)
    resend(connection, [saga], request)
    return saga


def resend(connection: Connection, sagas: Sequence[SagaFacts], request: Resend) -> None:
    """Request that every service, this one too, sends the events of these sagas again; receivers drop duplicates."""
    outbox.send_again(connection, [saga.saga_id for saga in sagas])
    said = {"reason": request.reason, "by": request.by}
    payloads = [SagaResendRequested(saga_id=saga.saga_id, cart_id=saga.cart_id, **said) for saga in sagas]
    outbox.stage(connection, [Event(payload, trace=request.trace) for payload in payloads])


def cancel(connection: Connection, sagas: Sequence[SagaFacts], request: Cancellation, limits: Limits) -> None:
    """Stage the requests to inventario that turn these sagas back, and record them at once, so that they are shown."""
    said = {"reason": request.reason, "by": request.by, "only_before_pivot": request.only_before_pivot}
    payloads = [CheckoutCancelRequested(saga_id=saga.saga_id, cart_id=saga.cart_id, **said) for saga in sagas]
    faults = [fault_of(saga.facts) for saga in sagas]
    events = [Event(payload, trace=request.trace, fault=fault) for payload, fault in zip(payloads, faults, strict=True)]
    outbox.stage(connection, events)
    record(connection, events, limits)


def _locked(connection: Connection, saga_id: UUID) -> StoredSaga:
    saga = saga_store.lock(connection, saga_id)
    if saga is None:
        raise SagaNotFound(saga_id)
    return saga


class ChoreographedSagas:
    """Implements the port `Sagas`."""

    path = "/saga/choreography"
    definition = schemas.definition_out()
    tables = SagaTables(db, sagas, sagas.c.status.not_in(sorted(ENDED)), audit_log, saga_store.OPERATIONS, outbox)
    ends = ENDS

    def new_saga(self, checkout: FrozenCheckout) -> Checkout:
        """Return the request's fields, as they are stored."""
        request = checkout.request
        return Checkout(checkout.saga_id, request.cart_id, request.user_id, request.payment_method)

    def accept(self, new_sagas: Sequence[Checkout]) -> list[bool | Conflict]:
        """Register these sagas in the read model; True for those that have not ended, as far as is known."""
        with db.transaction() as connection:
            registered = register(connection, new_sagas, Settings.current().limits)
        return [each if isinstance(each, Conflict) else each not in ENDED for each in registered]

    def find(self, connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, StoredSaga]:
        """Return those of these sagas that exist, as far as their events have arrived."""
        return saga_store.find(connection, saga_ids)

    def get_history(self, connection: Connection, saga_id: UUID) -> SagaHistory:
        """Return the events and notes of a saga; raises `SagaNotFound`."""
        return history_of(connection, saga_id)

    def compensate(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> StoredSaga:
        """Request that inventario turns a saga back; raises `SagaNotFound`, `TooOld`."""
        cancellation = Cancellation(request.reason, request.by, trace=request.trace)
        return compensate_saga(connection, saga_id, cancellation, Settings.current().limits)

    def retry(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> StoredSaga:
        """Request that a saga's events are sent again; raises `SagaNotFound`, `SagaEnded`."""
        return retry_saga(connection, saga_id, Resend(request.reason, request.by, request.trace))

    def view(self, saga: StoredSaga) -> SagaOut:
        """Return the saga as the API shows it."""
        return schemas.saga_out(saga)

    def timeline(self, history: SagaHistory) -> list[TimelineEntryOut]:
        """Return all events and notes as the API shows them."""
        return timeline_out(history)

    def summary(self, row: Row) -> SagaSummary:
        """Return a saga's row as the API lists it."""
        return schemas.summary_of(StoredSaga.of(row))


SAGAS = ChoreographedSagas()
