"""carrito's whole part in the choreography: the events it reacts to, and what it publishes then."""

from collections.abc import Sequence
from functools import partial

from flask import current_app
from sqlalchemy import Connection

from carrito import carts, service
from carrito.config import Settings
from carrito.domain import OrderOfSaga, OrderRequest, Release
from carrito.models import inbox, outbox
from shared.barrier import Suspended
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
)
from shared.event_worker import Part
from shared.inbox import Published, Reactions, react


def create_order(uow: Connection, paid: Sequence[PaymentProcessed]) -> Published:
    """Make the order of the frozen cart, or say why not; nothing if it was cancelled before."""
    settings: Settings = current_app.extensions["settings"]
    asked = [OrderRequest(each.saga_id, each.cart_id, each.order_id, None, each.payment_id, None) for each in paid]
    outcomes = service.create_order(uow, asked, settings.currency)
    return [_created(event, outcome) for event, outcome in zip(paid, outcomes, strict=True)]


def confirm(uow: Connection, sold: Sequence[InventoryCommitted]) -> Published:
    """Confirm the order and close its cart: the end. Nothing if the sale was undone meanwhile."""
    outcomes = service.confirm_order(uow, [OrderOfSaga(each.saga_id, each.order_id) for each in sold])
    return [
        [CheckoutCompleted(**event.about(), order_id=event.order_id)] if _is_first(outcome) else []
        for event, outcome in zip(sold, outcomes, strict=True)
    ]


def cancel(uow: Connection, unsold: Sequence[InventoryCommitFailed]) -> Published:
    """Cancel the order, or keep it from being made."""
    outcomes = service.cancel_order(uow, [OrderOfSaga(each.saga_id) for each in unsold])
    return [
        [OrderCancelled(**event.about(), reason=event.reason)] if _is_first(outcome) else []
        for event, outcome in zip(unsold, outcomes, strict=True)
    ]


def release(uow: Connection, undone: Sequence[Backward]) -> Published:
    """Open the cart again, unless somebody did: all is undone. Raises what keeps it closed: a person has to look."""
    for outcome in carts.release(uow, [Release(each.cart_id, each.saga_id) for each in undone]):
        if isinstance(outcome, DomainError):
            raise outcome
    return [[CheckoutFailed(**event.about(), reason=event.reason)] for event in undone]


def _created(event: PaymentProcessed, outcome: service.Order | DomainError) -> Sequence[Payload]:
    ids = {"order_id": event.order_id, "payment_id": event.payment_id}
    requested = OrderCreateRequested(**event.about(), **ids)
    if _is_first(outcome):
        return [requested, OrderCreated(**event.about(), **ids)]
    if not isinstance(outcome, DomainError) or isinstance(outcome, Suspended | RepeatedRefusal):
        return []  # answered before, or cancelled before it came
    return [requested, OrderCreateFailed(**event.about(), reason=outcome.detail)]


def _is_first(outcome: service.Order | service.Cancelled | DomainError) -> bool:
    return not isinstance(outcome, DomainError) and outcome.first


REACTIONS: Reactions = {
    PaymentProcessed: create_order,
    InventoryCommitted: confirm,
    InventoryCommitFailed: cancel,
    InventoryReserveFailed: release,
    InventoryReleased: release,
}
PART = Part(outbox, partial(react, inbox=inbox, reactions=REACTIONS))
