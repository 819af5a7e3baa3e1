"""The events that pagos handles, and those that it publishes: all that it does in the choreography.

A handler publishes the next event also when the step was done, refused or compensated before, since the next service
waits for it. The inbox has dropped copies of events that were handled before.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from pagos import service
from pagos.domain import Method, Payment, PaymentDeclined, PaymentIdTaken, Refund, SagaCharge, VoidPayment
from pagos.models import inbox, outbox
from shared.errors import DomainError, RepeatedRefusal
from shared.event_bus import (
    Backward,
    InventoryReserved,
    OrderCancelled,
    OrderCreateFailed,
    Payload,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
    SagaResendRequested,
)
from shared.messaging.inbox import EventHandlers, Published, handle_new, resend
from shared.messaging.subscription import Subscription
from shared.saga.barrier import Done
from shared.saga.barrier_entries import Suspended
from shared.saga.repetition import agreed


def pay(connection: Connection, reserved: Sequence[InventoryReserved]) -> Published:
    """Take the payment; publish whether that succeeded."""
    outcomes = agreed(service.pay_for_saga(connection, [_charge(each) for each in reserved]))
    return [_paid(event, outcome) for event, outcome in zip(reserved, outcomes, strict=True)]


def refund(connection: Connection, undone: Sequence[Backward]) -> Published:
    """Refund the payment, or refuse it from now on."""
    outcomes = service.refund(connection, [Refund(each.saga_id, reason=each.reason) for each in undone])
    return [_refunded(event, outcome) for event, outcome in zip(undone, outcomes, strict=True)]


def _charge(event: InventoryReserved) -> SagaCharge:
    return SagaCharge(
        id=event.payment_id,
        amount_minor=event.total_minor,
        currency=event.currency,
        payment_method=Method(event.payment_method),
        user_id=event.user_id,
        saga_id=event.saga_id,
        cart_id=event.cart_id,
        billed_order_id=event.order_id,
    )


def _paid(event: InventoryReserved, outcome: Done[Payment] | DomainError) -> Sequence[Payload]:
    requested = PaymentRequested(
        **event.about(),
        payment_id=event.payment_id,
        amount_minor=event.total_minor,
        currency=event.currency,
        payment_method=event.payment_method,
    )
    if not isinstance(outcome, DomainError):
        return [requested, _processed(event)]
    failed = PaymentFailed(**event.about(), payment_id=event.payment_id, reason=outcome.detail)
    if isinstance(outcome, PaymentDeclined | PaymentIdTaken):
        return [requested, failed]
    if isinstance(outcome, RepeatedRefusal | Suspended):
        return [failed]  # it was refused or compensated before the event arrived
    raise outcome


def _processed(event: InventoryReserved) -> PaymentProcessed:
    return PaymentProcessed(
        **event.about(),
        payment_id=event.payment_id,
        order_id=event.order_id,
        amount_minor=event.total_minor,
        currency=event.currency,
    )


def _refunded(event: Backward, outcome: Done[Payment | VoidPayment] | DomainError) -> Sequence[Payload]:
    if isinstance(outcome, DomainError):
        raise outcome
    amount = outcome.value.refunded_minor
    return [PaymentRefunded(**event.about(), reason=event.reason, amount_minor=amount)]


EVENT_HANDLERS: EventHandlers = {
    InventoryReserved: pay,
    OrderCancelled: refund,
    OrderCreateFailed: refund,
    SagaResendRequested: partial(resend, outbox=outbox),
}
SUBSCRIPTION = Subscription(outbox, partial(handle_new, inbox=inbox, handlers=EVENT_HANDLERS))
