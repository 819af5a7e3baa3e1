"""carrito's whole part in the choreography: the events it reacts to, and what it publishes then.

What is published follows from the state that an event finds or makes, also when the step was done, refused or undone
before: the inbox removes copies of an event, so one that comes here is waited for by the next in line.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from carrito import carts, service
from carrito.config import Settings
from carrito.domain import (
    CartEmpty,
    CartNotFound,
    CartNotOpen,
    Order,
    OrderOfAnotherSaga,
    OrderOfSaga,
    OrderRequest,
    OrderStands,
    Release,
)
from carrito.domain import OrderCancelled as OrderWasCancelled
from carrito.models import inbox, outbox
from shared.errors import DomainError, RepeatedRefusal
from shared.event_bus import (
    Backward,
    CheckoutCompleted,
    CheckoutFailed,
    InventoryCommitFailed,
    InventoryCommitted,
    InventoryReleased,
    InventoryReserveFailed,
    OrderCancelled,
    OrderCreated,
    OrderCreateFailed,
    OrderCreateRequested,
    Payload,
    PaymentProcessed,
    SagaResendRequested,
)
from shared.messaging.event_worker import Subscription
from shared.messaging.inbox import EventHandlers, Published, handle_new, resend
from shared.saga.barrier import Done
from shared.saga.barrier_entries import Suspended
from shared.saga.repetition import agreed


def create_order(connection: Connection, paid: Sequence[PaymentProcessed]) -> Published:
    """Make the order of the frozen cart, or say why not."""
    requests = [
        OrderRequest(
            each.saga_id,
            each.cart_id,
            each.order_id,
            payment_id=each.payment_id,
            paid_minor=each.amount_minor,
            currency=each.currency,
        )
        for each in paid
    ]
    outcomes = agreed(service.create_order(connection, requests, Settings.current().currency))
    return [_created(event, outcome) for event, outcome in zip(paid, outcomes, strict=True)]


def confirm(connection: Connection, sold: Sequence[InventoryCommitted]) -> Published:
    """Confirm the order and close its cart: the end. An order that was cancelled meanwhile has the sale undone."""
    outcomes = service.confirm_order(connection, [OrderOfSaga(each.saga_id, each.order_id) for each in sold])
    return [_confirmed(event, outcome) for event, outcome in zip(sold, outcomes, strict=True)]


def cancel(connection: Connection, unsold: Sequence[InventoryCommitFailed | InventoryReserveFailed]) -> Published:
    """Cancel the order, or keep it from being made."""
    _cancel(connection, unsold)
    return [[OrderCancelled(**event.about(), reason=event.reason)] for event in unsold]


def release(connection: Connection, undone: Sequence[InventoryReleased]) -> Published:
    """Open the cart again, unless somebody did: all is undone. An order that stands, made by hand, goes with it.

    Raises what keeps the cart closed: a person has to look.
    """
    releases = {event.saga_id: Release(event.cart_id, event.saga_id) for event in undone}
    outcomes = dict(zip(releases, carts.release(connection, list(releases.values())), strict=True))
    standing = [event for event in undone if isinstance(outcomes[event.saga_id], OrderStands)]
    if standing:
        _cancel(connection, standing)
        again = [releases[event.saga_id] for event in standing]
        outcomes |= zip((each.saga_id for each in again), carts.release(connection, again), strict=True)
    for outcome in outcomes.values():
        if isinstance(outcome, DomainError):
            raise outcome
    return [[CheckoutFailed(**event.about(), reason=event.reason)] for event in undone]


def _cancel(connection: Connection, events: Sequence[Backward]) -> None:
    for outcome in service.cancel_order(connection, [OrderOfSaga(event.saga_id) for event in events]):
        if isinstance(outcome, DomainError):
            raise outcome


def _created(event: PaymentProcessed, outcome: Done[Order] | DomainError) -> Sequence[Payload]:
    ids = {"order_id": event.order_id, "payment_id": event.payment_id}
    requested = OrderCreateRequested(**event.about(), **ids)
    if not isinstance(outcome, DomainError):
        return [requested, OrderCreated(**event.about(), **ids)]
    failed = OrderCreateFailed(**event.about(), reason=outcome.detail)
    if isinstance(outcome, RepeatedRefusal | Suspended):
        return [failed]  # it was refused or cancelled before the event came
    if isinstance(outcome, CartNotFound | CartNotOpen | CartEmpty | OrderOfAnotherSaga):
        return [requested, failed]
    raise outcome


def _confirmed(event: InventoryCommitted, outcome: Done[Order] | DomainError) -> Sequence[Payload]:
    if not isinstance(outcome, DomainError):
        return [CheckoutCompleted(**event.about(), order_id=event.order_id)]
    if isinstance(outcome, OrderWasCancelled):
        return [OrderCancelled(**event.about(), reason=outcome.detail)]
    raise outcome


EVENT_HANDLERS: EventHandlers = {
    PaymentProcessed: create_order,
    InventoryCommitted: confirm,
    InventoryCommitFailed: cancel,
    InventoryReserveFailed: cancel,
    InventoryReleased: release,
    SagaResendRequested: partial(resend, outbox=outbox),
}
SUBSCRIPTION = Subscription(outbox, partial(handle_new, inbox=inbox, handlers=EVENT_HANDLERS))
