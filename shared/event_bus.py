"""THE event contract: every event type with its payload, version, publisher and consumers.

A new event type is a payload class under `@event`. Exchange, queues, bindings and `docs/asyncapi.json` follow from the
contract. An incompatible change of a payload is a new version of its type. A new field with a default is compatible,
because consumers ignore unknown fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.ids import new_id

EXCHANGE = "saga.events"
CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY = "carrito", "inventario", "pagos", "saga_choreography"
CONSUMERS = (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY)


class Payload(BaseModel):
    """The fields of every event: its saga, and the cart that the saga checks out. Money is in minor units."""

    is_fact: ClassVar[bool] = True  # of the checkout; False for a request about events

    model_config = ConfigDict(frozen=True, extra="ignore")

    saga_id: UUID
    cart_id: UUID

    def about(self) -> dict[str, UUID]:
        """Return the saga and cart, for a payload that follows from this one."""
        return {"saga_id": self.saga_id, "cart_id": self.cart_id}


P = TypeVar("P", bound=type[Payload])


@dataclass(frozen=True)
class EventType:
    """One event type. saga_choreography consumes every type that is a fact of a checkout.

    `ends` marks the last event of a saga, which no other service handles. A type that is no fact asks a service to do
    something with events; it is no part of a saga.
    """

    name: str
    payload: type[Payload]
    version: int
    publisher: str
    handled_by: tuple[str, ...]
    ends: bool

    @property
    def is_fact(self) -> bool:
        """Whether its events report what happened to a saga."""
        return self.payload.is_fact

    @property
    def consumers(self) -> tuple[str, ...]:
        """The services whose queues receive it."""
        return (*self.handled_by, CHOREOGRAPHY) if self.is_fact else self.handled_by

    @property
    def schema(self) -> str:
        """The CloudEvents `dataschema`: type and version of the payload."""
        return f"urn:checkout:{self.name}:{self.version}"


CONTRACT: dict[str, EventType] = {}
_BY_PAYLOAD: dict[type[Payload], EventType] = {}


def event(name: str, *, by: str, to: tuple[str, ...] = (), version: int = 1, ends: bool = False) -> Callable[[P], P]:
    """Add a payload class to the contract: `by` publishes it, `to` handle it."""

    def enter(payload: P) -> P:
        if name in CONTRACT:
            raise ValueError(f"two event types are called {name}")
        CONTRACT[name] = _BY_PAYLOAD[payload] = EventType(name, payload, version, by, to, ends)
        return payload

    return enter


def event_type_of(payload: Payload | type[Payload]) -> EventType:
    """Return the event type of a payload."""
    return _BY_PAYLOAD[payload if isinstance(payload, type) else type(payload)]


class Texts(NamedTuple):
    """Ids and times of an event, as text."""

    id: str
    saga_id: str
    time: str
    cause: str | None
    taken_at: str | None


@dataclass(frozen=True)
class Event:
    """One event: `cause` is the event that it follows from, `trace` the W3C `traceparent` of the first request.

    `fault` names the faults of its saga, `injected` those that happened to the step that it reports, or to itself.
    `taken_at` is when its publisher received the cause; `received_at`, which is not sent, is when this process received
    the event.
    """

    payload: Payload
    id: UUID = field(default_factory=new_id)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    cause: UUID | None = None
    trace: str | None = None
    fault: str | None = None
    taken_at: datetime | None = None
    injected: str | None = None
    received_at: datetime | None = field(default=None, compare=False)

    @property
    def event_type(self) -> EventType:
        """Its event type."""
        return _BY_PAYLOAD[type(self.payload)]

    @cached_property
    def data(self) -> str:
        """The payload as JSON, as it is stored and sent."""
        return self.payload.model_dump_json()

    @cached_property
    def texts(self) -> Texts:
        """Formatted once for the database and the message, since formatting takes most of their time."""
        cause = None if self.cause is None else str(self.cause)
        taken_at = None if self.taken_at is None else self.taken_at.isoformat()
        return Texts(str(self.id), str(self.saga_id), self.time.isoformat(), cause, taken_at)

    @property
    def saga_id(self) -> UUID:
        """The saga that it belongs to."""
        return self.payload.saga_id

    def follow(self, payload: Payload) -> "Event":
        """Make an event that follows from this one."""
        return Event(payload, cause=self.id, trace=self.trace, fault=self.fault, taken_at=self.received_at)


def bindings() -> Mapping[str, list[str]]:
    """Return the event types that each service's queue is bound to."""
    return {
        service: [event_type.name for event_type in CONTRACT.values() if service in event_type.consumers]
        for service in CONSUMERS
    }


class Item(BaseModel):
    """A line of the frozen cart."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    product_id: int
    quantity: int


class Bill(Payload):
    """The amount to pay, with user and payment method. Ids of payment and order are chosen when the checkout begins."""

    user_id: str
    payment_method: str
    payment_id: UUID
    order_id: UUID
    total_minor: int
    currency: str


class Backward(Payload):
    """An event of the compensation; `reason` is why the saga turned back, and is passed on to the last event."""

    reason: str


# ---- forward ----


@event("checkout.initiated", by=CARRITO, to=(INVENTARIO,))
class CheckoutInitiated(Bill):
    """A cart was frozen for this saga; items and total are carrito's."""

    items: tuple[Item, ...]


@event("inventory.reserve.requested", by=INVENTARIO)
class InventoryReserveRequested(Payload):
    """A reservation of stock is requested."""

    items: tuple[Item, ...]


@event("inventory.reserved", by=INVENTARIO, to=(PAGOS,))
class InventoryReserved(Bill):
    """All lines are held; the event passes the bill on to pagos."""


@event("payment.requested", by=PAGOS)
class PaymentRequested(Payload):
    """A payment is requested."""

    payment_id: UUID
    amount_minor: int
    currency: str
    payment_method: str


@event("payment.processed", by=PAGOS, to=(CARRITO,))
class PaymentProcessed(Payload):
    """The payment was captured."""

    payment_id: UUID
    order_id: UUID
    amount_minor: int
    currency: str


@event("order.create.requested", by=CARRITO)
class OrderCreateRequested(Payload):
    """An order is requested."""

    order_id: UUID
    payment_id: UUID


@event("order.created", by=CARRITO, to=(INVENTARIO,))
class OrderCreated(Payload):
    """The order was created, and is pending."""

    order_id: UUID
    payment_id: UUID


@event("inventory.commit.requested", by=INVENTARIO)
class InventoryCommitRequested(Payload):
    """The sale of the held stock is requested."""

    order_id: UUID


@event("inventory.committed", by=INVENTARIO, to=(CARRITO,))
class InventoryCommitted(Payload):
    """The held stock is sold: the pivot. After it a saga turns back by request, or when its order was cancelled."""

    order_id: UUID


@event("checkout.completed", by=CARRITO, ends=True)
class CheckoutCompleted(Payload):
    """The order is confirmed, and its cart is closed."""

    order_id: UUID


# ---- what turns a saga back ----


@event("inventory.reserve.failed", by=INVENTARIO, to=(CARRITO,))
class InventoryReserveFailed(Backward):
    """Nothing is held, and never will be for this saga."""


@event("payment.failed", by=PAGOS, to=(INVENTARIO,))
class PaymentFailed(Backward):
    """No payment was captured, and none will be for this saga."""

    payment_id: UUID


@event("order.create.failed", by=CARRITO, to=(PAGOS,))
class OrderCreateFailed(Backward):
    """There is no order, and never will be for this saga."""


@event("inventory.commit.failed", by=INVENTARIO, to=(CARRITO,))
class InventoryCommitFailed(Backward):
    """The held stock is not sold, or no longer: the hold expired, or the saga turned back."""


@event("checkout.cancel.requested", by=CHOREOGRAPHY, to=(INVENTARIO,))
class CheckoutCancelRequested(Backward):
    """Turn the saga back: inventario decides; after a deadline (`only_before_pivot`) a sale for an order stands."""

    only_before_pivot: bool
    by: str


# ---- backward, in reverse step order: each makes the service of the step before compensate ----


@event("order.cancelled", by=CARRITO, to=(PAGOS,))
class OrderCancelled(Backward):
    """The order is cancelled, or can no longer be made."""


@event("payment.refunded", by=PAGOS, to=(INVENTARIO,))
class PaymentRefunded(Backward):
    """The payment is refunded (`amount_minor`, 0 when none was captured), and can no longer be made."""

    amount_minor: int


@event("inventory.released", by=INVENTARIO, to=(CARRITO,))
class InventoryReleased(Backward):
    """The stock is available again."""


@event("checkout.failed", by=CARRITO, ends=True)
class CheckoutFailed(Backward):
    """All steps are compensated, and the cart is open again."""


# ---- when an event may have been lost ----


@event("saga.resend.requested", by=CHOREOGRAPHY, to=(CARRITO, INVENTARIO, PAGOS))
class SagaResendRequested(Payload):
    """The participants are to send all events of the saga again: one may have been lost after its confirm.

    A service that has handled an event drops the copy (inbox); another one handles it.
    """

    is_fact = False

    reason: str
    by: str
