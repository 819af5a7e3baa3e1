"""pagos's whole part in the choreography: the events it reacts to, and what it publishes then."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from pagos import service
from pagos.domain import Method, PaymentDeclined, PaymentIdTaken, Refund, SagaCharge
from pagos.models import inbox, outbox
from shared.errors import DomainError
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
)
from shared.event_worker import Part
from shared.inbox import Published, Reactions, react


def pay(uow: Connection, reserved: Sequence[InventoryReserved]) -> Published:
    """Take the money, or say why not; nothing if the saga was undone here before."""
    outcomes = service.pay_for_saga(uow, [_charge(each) for each in reserved])
    return [_paid(event, outcome) for event, outcome in zip(reserved, outcomes, strict=True)]


def refund(uow: Connection, undone: Sequence[Backward]) -> Published:
    """Give the money back, and take none any more."""
    outcomes = service.refund(uow, [Refund(each.saga_id, reason=each.reason) for each in undone])
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


def _paid(event: InventoryReserved, outcome: service.Paid | DomainError) -> Sequence[Payload]:
    requested = PaymentRequested(
        **event.about(),
        payment_id=event.payment_id,
        amount_minor=event.total_minor,
        currency=event.currency,
        payment_method=event.payment_method,
    )
    if isinstance(outcome, PaymentDeclined | PaymentIdTaken):
        return [requested, PaymentFailed(**event.about(), payment_id=event.payment_id, reason=outcome.detail)]
    if isinstance(outcome, DomainError) or not outcome.first:
        return []  # answered before, or undone before it came
    return [
        requested,
        PaymentProcessed(
            **event.about(),
            payment_id=event.payment_id,
            order_id=event.order_id,
            amount_minor=event.total_minor,
            currency=event.currency,
        ),
    ]


def _refunded(event: Backward, outcome: service.Refunded | DomainError) -> Sequence[Payload]:
    if isinstance(outcome, DomainError) or not outcome.first:
        return []  # refunded before
    amount = 0 if outcome.row is None else outcome.row["refunded_minor"]
    return [PaymentRefunded(**event.about(), reason=event.reason, amount_minor=amount)]


REACTIONS: Reactions = {InventoryReserved: pay, OrderCancelled: refund, OrderCreateFailed: refund}
PART = Part(outbox, partial(react, inbox=inbox, reactions=REACTIONS))
