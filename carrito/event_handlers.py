"""The events that carrito handles, and those that it publishes: all that it does in the choreography.

A handler publishes the next event also when the step was done, refused or compensated before, since the next service
waits for it. The inbox has dropped copies of events that were handled before.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from carrito import service
from carrito.config import Settings
from carrito.domain import (
    CartEmpty,
    CartNotFound,
    CartNotOpen,
    Order,
    OrderAlreadyCancelled,
    OrderOfAnotherSaga,
    OrderOfSaga,
    OrderRequest,
    OrderStands,
    Release,
)
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
from shared.messaging.inbox import EventHandlers, Published, handle_new, resend
from shared.messaging.subscription import Subscription
from shared.saga.barrier import Done
from shared.saga.barrier_entries import Suspended
from shared.saga.repetition import agreed


def create_order(connection: Connection, paid: Sequence[PaymentProcessed]) -> Published:
    """Create the order of the frozen cart; publish whether that succeeded."""
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
    """Confirm the order and check its cart out, which ends the saga. An order that was cancelled is compensated."""
    commands = [OrderOfSaga(each.saga_id, each.order_id, each.cart_id) for each in sold]
    outcomes = service.confirm_order(connection, commands)
    return [_confirmed(event, outcome) for event, outcome in zip(sold, outcomes, strict=True)]


def cancel(connection: Connection, unsold: Sequence[InventoryCommitFailed | InventoryReserveFailed]) -> Published:
    """Cancel the order, or refuse it from now on."""
    _cancel(connection, unsold)
    return [[OrderCancelled(**event.about(), reason=event.reason)] for event in unsold]


def release(connection: Connection, undone: Sequence[InventoryReleased]) -> Published:
    """Open the cart again, which ends the compensation. An order that a request created meanwhile is cancelled first.

    Raises any other refusal to open the cart, so that the event becomes a dead letter.
    """
    releases = {event.saga_id: Release(event.cart_id, event.saga_id) for event in undone}
    outcomes = dict(zip(releases, service.release_cart(connection, list(releases.values())), strict=True))
    standing = [event for event in undone if isinstance(outcomes[event.saga_id], OrderStands)]
    if standing:
        _cancel(connection, standing)
        again = [releases[event.saga_id] for event in standing]
        outcomes |= zip((each.saga_id for each in again), service.release_cart(connection, again), strict=True)
    for outcome in outcomes.values():
        if isinstance(outcome, DomainError):
            raise outcome
    return [[CheckoutFailed(**event.about(), reason=event.reason)] for event in undone]


def _cancel(connection: Connection, events: Sequence[Backward]) -> None:
    commands = [OrderOfSaga(event.saga_id, cart_id=event.cart_id) for event in events]
    for outcome in service.cancel_order(connection, commands):
        if isinstance(outcome, DomainError):
            raise outcome


def _created(event: PaymentProcessed, outcome: Done[Order] | DomainError) -> Sequence[Payload]:
    ids = {"order_id": event.order_id, "payment_id": event.payment_id}
    requested = OrderCreateRequested(**event.about(), **ids)
    if not isinstance(outcome, DomainError):
        return [requested, OrderCreated(**event.about(), **ids)]
    failed = OrderCreateFailed(**event.about(), reason=outcome.detail)
    if isinstance(outcome, RepeatedRefusal | Suspended):
        return [failed]  # it was refused or cancelled before the event arrived
    if isinstance(outcome, CartNotFound | CartNotOpen | CartEmpty | OrderOfAnotherSaga):
        return [requested, failed]
    raise outcome


def _confirmed(event: InventoryCommitted, outcome: Done[Order] | DomainError) -> Sequence[Payload]:
    if not isinstance(outcome, DomainError):
        return [CheckoutCompleted(**event.about(), order_id=event.order_id)]
    if isinstance(outcome, OrderAlreadyCancelled):
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
