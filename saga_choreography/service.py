"""The use cases of the choreography, one function each; every one runs inside the caller's transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from saga_choreography import saga_store
from saga_choreography.domain import Cancellation, Checkout, Limits, Resend
from saga_choreography.models import outbox
from saga_choreography.projection import fault_of, turned_back
from saga_choreography.recording import record
from saga_choreography.saga_store import SagaFacts, SagaHistory, StoredSaga
from shared.errors import Conflict
from shared.event_bus import CheckoutCancelRequested, Event, SagaResendRequested
from shared.purging.retention import TooOld, check_undoable
from shared.saga.errors import SagaEnded, SagaNotFound, SagaOfAnotherCheckout
from shared.saga.states import ENDED, SagaStatus


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


def get_history(connection: Connection, saga_id: UUID) -> SagaHistory:
    """Return all events and notes of a saga; raises `SagaNotFound`."""
    if not saga_store.find(connection, [saga_id]):
        raise SagaNotFound(saga_id)
    return saga_store.history_of(connection, saga_id)


def compensate(connection: Connection, saga_id: UUID, request: Cancellation, limits: Limits) -> StoredSaga:
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


def retry(connection: Connection, saga_id: UUID, request: Resend) -> StoredSaga:
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
