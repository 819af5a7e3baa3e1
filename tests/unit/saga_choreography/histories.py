"""Histories of sagas: their events, in causal order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.event_bus import (
    CONTRACT,
    Backward,
    CheckoutCancelRequested,
    Event,
    Item,
    Payload,
)
from shared.ids import new_id

BEGINNING = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

RESERVED = ("checkout.initiated", "inventory.reserve.requested", "inventory.reserved")
PAID = (*RESERVED, "payment.requested", "payment.processed")
ORDERED = (*PAID, "order.create.requested", "order.created")
COMMITTED = (*ORDERED, "inventory.commit.requested", "inventory.committed")
COMPLETED = (*COMMITTED, "checkout.completed")
RELEASED = ("inventory.released", "checkout.failed")
REFUNDED = ("payment.refunded", *RELEASED)
UNDONE = ("order.cancelled", *REFUNDED)
CANCELLED = ("checkout.cancel.requested", "inventory.commit.failed", *UNDONE)

# All possible histories of a checkout. `late` is a deadline's request, which does not compensate a sale.
HISTORIES: dict[str, tuple[str, ...]] = {
    "completed": COMPLETED,
    "sold out": (*RESERVED[:2], "inventory.reserve.failed", *UNDONE),
    "declined": (*RESERVED, "payment.requested", "payment.failed", *RELEASED),
    "order refused": (*PAID, "order.create.requested", "order.create.failed", *REFUNDED),
    "hold expired": (*ORDERED, "inventory.commit.requested", "inventory.commit.failed", *UNDONE),
    "cancelled before it began": ("checkout.cancel.requested", "inventory.reserve.failed", *UNDONE),
    "cancelled when reserved": (*RESERVED, *CANCELLED),
    "cancelled when paid": (*PAID, *CANCELLED),
    "cancelled when ordered": (*ORDERED, *CANCELLED),
    "undone": (*COMPLETED, *CANCELLED),
    "late": (*PAID, "late", *CANCELLED[1:]),
    "late, and the pivot won": (*ORDERED, "late", *COMPLETED[len(ORDERED) :]),
    "late, completed, and undone": (*ORDERED, "late", *COMPLETED[len(ORDERED) :], *CANCELLED),
}


@dataclass(frozen=True)
class Story:
    """The ids and texts of one saga."""

    saga_id: UUID = field(default_factory=new_id)
    cart_id: UUID = field(default_factory=new_id)
    payment_id: UUID = field(default_factory=new_id)
    order_id: UUID = field(default_factory=new_id)
    reason: str = "no"
    beginning: datetime = BEGINNING

    def events(self, *names: str) -> list[Event]:
        """Make these events, a second after each other, each caused by the one before."""
        told: list[Event] = []
        for number, name in enumerate(names):
            cause = told[-1].id if told else None
            told.append(Event(self.payload(name), time=self.beginning + timedelta(seconds=number), cause=cause))
        return told

    def payload(self, name: str) -> Payload:
        """Make the payload of an event of this type."""
        if name in {"late", "checkout.cancel.requested"}:
            return CheckoutCancelRequested(
                saga_id=self.saga_id,
                cart_id=self.cart_id,
                reason=self.reason,
                by="somebody",
                only_before_pivot=name == "late",
            )
        kind = CONTRACT[name].payload
        return kind(**{each: self._said(kind, each) for each in kind.model_fields})

    def _said(self, kind: type[Payload], name: str) -> Any:
        known: dict[str, Any] = {
            **vars(self),
            "user_id": "ana",
            "payment_method": "paypal",
            "total_minor": 1998,
            "amount_minor": 1998,
            "currency": "EUR",
            "items": (Item(product_id=1, quantity=2),),
        }
        assert name in known, f"{kind.__name__} has another field: {name}"
        return known[name]


def prefixes(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all beginnings of a history."""
    return [tuple(names[:length]) for length in range(1, len(names) + 1)]


def backward(name: str) -> bool:
    """Whether this event is a step of the compensation."""
    return name != "late" and issubclass(CONTRACT[name].payload, Backward)
