"""pagos's whole part in the choreography: the events it reacts to, and what it publishes then.

What is published follows from the state that an event finds or makes, also when the step was done, refused or undone
before: the inbox removes copies of an event, so one that comes here is waited for by the next in line.
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
from shared.messaging.event_worker import Subscription
from shared.messaging.inbox import EventHandlers, Published, handle_new, resend
from shared.saga.barrier import Done
from shared.saga.barrier_entries import Suspended
from shared.saga.repetition import agreed


def pay(connection: Connection, reserved: Sequence[InventoryReserved]) -> Published:
    """Take the money, or say why not."""
    outcomes = agreed(service.pay_for_saga(connection, [_charge(each) for each in reserved]))
    return [_paid(event, outcome) for event, outcome in zip(reserved, outcomes, strict=True)]


def refund(connection: Connection, undone: Sequence[Backward]) -> Published:
    """Give the money back, and take none any more."""
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
        return [failed]  # it was refused or undone before the event came
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
