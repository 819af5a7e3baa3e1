"""The events that inventario handles, and those that it publishes: all that it does in the choreography.

inventario is the arbiter: one conditional update decides whether a saga's stock is sold or returned.

A handler publishes the next event also when the step was done, refused or compensated before, since the next service
waits for it. The inbox has dropped copies of events that were handled before.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from inventario import service
from inventario.config import Settings
from inventario.domain import (
    Cancel,
    InsufficientStock,
    Line,
    ProductNotFound,
    Reservation,
    ReservationNotFound,
    ReservationNotHeld,
    ReservationStatus,
    Reserve,
    Ruling,
    Sell,
    Unreserve,
    merged,
)
from inventario.models import inbox, outbox
from shared.errors import DomainError, RepeatedRefusal
from shared.event_bus import (
    Backward,
    Bill,
    CheckoutCancelRequested,
    CheckoutInitiated,
    InventoryCommitFailed,
    InventoryCommitRequested,
    InventoryCommitted,
    InventoryReleased,
    InventoryReserved,
    InventoryReserveFailed,
    InventoryReserveRequested,
    OrderCreated,
    Payload,
    PaymentFailed,
    PaymentRefunded,
    SagaResendRequested,
)
from shared.messaging.inbox import EventHandlers, Published, handle_new, resend
from shared.messaging.subscription import Subscription
from shared.saga.barrier import Done
from shared.saga.barrier_entries import Suspended
from shared.saga.repetition import NamedFields, agreed


def reserve(connection: Connection, checkouts: Sequence[CheckoutInitiated]) -> Published:
    """Hold the cart's lines; publish the bill for pagos, or why they are not held."""
    requests = [Reserve(each.saga_id, each.cart_id, _wanted(each), _bill(each)) for each in checkouts]
    outcomes = agreed(service.reserve(connection, requests, Settings.current().hold_seconds))
    return [_reserved(checkout, outcome) for checkout, outcome in zip(checkouts, outcomes, strict=True)]


def commit(connection: Connection, orders: Sequence[OrderCreated]) -> Published:
    """Sell what is held; publish whether that succeeded."""
    requests = [Sell(each.saga_id, each.cart_id, order_id=each.order_id, payment_id=each.payment_id) for each in orders]
    outcomes = agreed(service.commit(connection, requests))
    return [_committed(order, outcome) for order, outcome in zip(orders, outcomes, strict=True)]


def release(connection: Connection, undone: Sequence[Backward]) -> Published:
    """Return what is held or was sold."""
    service.unreserve(connection, [Unreserve(each.saga_id) for each in undone])  # or nothing to return
    return [[InventoryReleased(**event.about(), reason=event.reason)] for event in undone]


def cancel(connection: Connection, requests: Sequence[CheckoutCancelRequested]) -> Published:
    """Decide whether the saga turns back; if it does, publish the event that compensates its last step."""
    verdicts = service.cancel(connection, [Cancel(each.saga_id, each.only_before_pivot) for each in requests])
    return [_turned_back(request, verdict) for request, verdict in zip(requests, verdicts, strict=True)]


def _reserved(checkout: CheckoutInitiated, outcome: Done[Reservation] | DomainError) -> Sequence[Payload]:
    requested = InventoryReserveRequested(**checkout.about(), items=checkout.items)
    if not isinstance(outcome, DomainError):
        return [requested, InventoryReserved(**{name: getattr(checkout, name) for name in Bill.model_fields})]
    failed = InventoryReserveFailed(**checkout.about(), reason=outcome.detail)
    if isinstance(outcome, ProductNotFound | InsufficientStock):
        return [requested, failed]
    if isinstance(outcome, RepeatedRefusal | Suspended | ReservationNotHeld):
        return [failed]  # it was refused, compensated or expired before the event arrived
    raise outcome


def _committed(order: OrderCreated, outcome: Done[Reservation] | DomainError) -> Sequence[Payload]:
    requested = InventoryCommitRequested(**order.about(), order_id=order.order_id)
    if not isinstance(outcome, DomainError):
        return [requested, InventoryCommitted(**order.about(), order_id=order.order_id)]
    failed = InventoryCommitFailed(**order.about(), reason=outcome.detail)
    if isinstance(outcome, ReservationNotHeld) and outcome.fields["reservation"] == ReservationStatus.RELEASED:
        return [failed]  # the saga turned back before the event arrived
    if isinstance(outcome, ReservationNotHeld | ReservationNotFound):
        return [requested, failed]
    raise outcome


def _turned_back(request: CheckoutCancelRequested, verdict: Ruling) -> Sequence[Payload]:
    if verdict is Ruling.RESERVE_REFUSED:
        return [InventoryReserveFailed(**request.about(), reason=request.reason)]
    if verdict is Ruling.TURNED_BACK:
        return [InventoryCommitFailed(**request.about(), reason=request.reason)]
    return []  # the stock is sold, and only a deadline passed; `inventory.committed` was published with the sale


def _bill(checkout: CheckoutInitiated) -> NamedFields:
    return {name: getattr(checkout, name) for name in Bill.model_fields.keys() - Payload.model_fields.keys()}


def _wanted(checkout: CheckoutInitiated) -> dict[int, int]:
    return merged(Line(item.product_id, item.quantity) for item in checkout.items)


EVENT_HANDLERS: EventHandlers = {
    CheckoutInitiated: reserve,
    OrderCreated: commit,
    PaymentFailed: release,
    PaymentRefunded: release,
    CheckoutCancelRequested: cancel,
    SagaResendRequested: partial(resend, outbox=outbox),
}
SUBSCRIPTION = Subscription(outbox, partial(handle_new, inbox=inbox, handlers=EVENT_HANDLERS))
