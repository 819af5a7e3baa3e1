"""The events of a checkout, and services that handle them in this process, without a broker."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import Connection, delete

from carrito import service
from carrito.domain import CheckoutRequest, Product
from carrito.models import outbox
from shared.event_bus import Backward, CheckoutCancelRequested, CheckoutInitiated, Event, Item, Payload
from shared.http.answers import value_or_raise
from shared.ids import new_id
from shared.messaging.delivery import Delivery
from shared.messaging.subscription import Subscription

WHY = "because"
PRICE_MINOR = 1000
_tags = count(1)


@dataclass(frozen=True)
class Checkout:
    """One saga: all values of its events."""

    product_id: int = 1
    quantity: int = 2
    payment_method: str = "paypal"
    user_id: str = "ana"
    saga_id: UUID = field(default_factory=new_id)
    cart_id: UUID = field(default_factory=new_id)
    payment_id: UUID = field(default_factory=new_id)
    order_id: UUID = field(default_factory=new_id)

    def says(self, kind: type[Payload], **other: Any) -> Payload:
        """Make the payload of this type for this checkout; backward events have the reason `WHY`."""
        total = self.quantity * PRICE_MINOR
        known: dict[str, Any] = {
            **vars(self),
            "total_minor": total,
            "amount_minor": 0 if issubclass(kind, Backward) else total,
            "currency": "EUR",
            "items": (Item(product_id=self.product_id, quantity=self.quantity),),
            "reason": WHY,
            "only_before_pivot": False,
            "by": "somebody",
            **other,
        }
        return kind(**{name: known[name] for name in kind.model_fields})

    def cancel(self, *, late: bool) -> Payload:
        """Make the request of a cancellation, by a deadline (`late`) or by a person."""
        return self.says(CheckoutCancelRequested, only_before_pivot=late)


def of(begun: Payload) -> Checkout:
    """Return the checkout that begins with this event."""
    assert isinstance(begun, CheckoutInitiated)
    [item] = begun.items
    known = begun.model_dump(exclude={"items", "total_minor", "currency"})
    return Checkout(product_id=item.product_id, quantity=item.quantity, **known)


class Reacting:
    """A service as its worker runs it: each part of a batch is handled in one transaction."""

    def __init__(self, client: FlaskClient, subscription: Subscription | None = None) -> None:
        self._app = client.application
        self.name = self._app.import_name.partition(".")[0]
        self._subscription: Subscription = subscription or import_module(f"{self.name}.event_handlers").SUBSCRIPTION

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction of the service, outside of its handlers."""
        with self._app.app_context(), self._app.extensions["sqlalchemy"].transaction() as connection:
            yield connection

    def take(self, events: Sequence[Event], *, dies: bool = False) -> list[Event]:
        """Handle events in one batch; return those that follow. With `dies`, each transaction rolls back."""
        following: list[Event] = []
        deliveries = [Delivery(next(_tags), {}, None, b"", each.event_type.name, each) for each in events]
        for part in self._subscription.split(deliveries):
            with self._app.app_context(), self._app.extensions["sqlalchemy"].engine.connect() as connection:
                came = self._subscription.handle(connection, [delivery.known for delivery in part])
                if not dies:
                    connection.commit()
                    following += came
        return following

    def says(self, *facts: Payload) -> list[Payload]:
        """Handle these facts in one batch, each as a new event; return the payloads that follow."""
        return [event.payload for event in self.take([Event(fact) for fact in facts])]


class Carts(Reacting):
    """carrito, which also begins checkouts."""

    def open(self, product_id: int, quantity: int, user_id: str = "ana") -> UUID:
        """Create a cart with so many of a product."""
        product = Product(product_id, "a thing", PRICE_MINOR, quantity)
        with self.transaction() as connection:
            cart = service.create_cart(connection, user_id)
            service.add_item(connection, cart.id, product, quantity)
        return UUID(str(cart.id))

    def begin(self, cart_id: UUID, payment_method: str = "paypal", user_id: str = "ana") -> Event:
        """Check the cart out; return the event in the outbox that begins the saga. Raises `CartNotOpen`."""
        request = CheckoutRequest(
            cart_id=cart_id,
            user_id=user_id,
            payment_method=payment_method,
            billing_address="Main St 1",
            saga_pattern="choreographed",
            trace="",
        )
        settings = self._app.extensions["settings"].model_copy(update={"rabbitmq_url": "amqp://nobody"})
        with self.transaction() as connection:
            cart = value_or_raise(service.begin_checkout(connection, [request], settings, by_saga_service=False)[0])
            staged = delete(outbox.table).where(outbox.table.c.saga_id == cart.freeze.saga_id).returning(outbox.table)
            row = connection.execute(staged).mappings().one()
        return Event(CheckoutInitiated.model_validate_json(row["payload"]), row["id"])
