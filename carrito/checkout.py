"""The beginning of a checkout: its cart is frozen, and its saga will not be forgotten from that commit on.

The saga's service is told of it (`handover.py`): that is what starts an orchestrated saga. A choreographed one begins
with an event, but events can be lost: they are sent again for sagas that the window knows.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from carrito import carts
from carrito.config import Settings
from carrito.domain import Beginning, PatternNotAvailable, Wish, total_minor
from carrito.models import outbox
from shared.batching.partition import map_accepted
from shared.errors import DomainError
from shared.event_bus import CheckoutInitiated, Event, Item

Asked = tuple[UUID, str, Wish]  # the cart, its user, and how it is to be checked out


def begin(
    connection: Connection, asked: Sequence[Asked], settings: Settings, *, for_saga_service: bool
) -> list[carts.FrozenCart | DomainError]:
    """Freeze each cart for a new saga: of many at once, one. Refusals: those of `carts.begin_checkout`.

    `for_saga_service`: whether the service that shows these sagas begins them itself.
    """
    beginnings = [_beginning(cart_id, user_id, wish, settings, for_saga_service) for cart_id, user_id, wish in asked]
    begun = map_accepted(beginnings, lambda fit: carts.begin_checkout(connection, fit, settings.currency))
    events = [
        Event(_initiated(cart, settings.currency), trace=cart.freeze.trace)
        for cart in begun
        if isinstance(cart, carts.FrozenCart) and cart.freeze.saga_pattern == "choreographed"
    ]
    if events:
        outbox.stage(connection, events)
    return begun


def _beginning(
    cart_id: UUID, user_id: str, wish: Wish, settings: Settings, for_saga_service: bool
) -> Beginning | DomainError:
    if wish.saga_pattern == "choreographed" and settings.rabbitmq_url is None:
        why = "choreographed checkouts need a broker: RABBITMQ_URL is not set"
        return PatternNotAvailable(why, saga_pattern=wish.saga_pattern)
    is_known = wish.saga_pattern == "choreographed" and for_saga_service
    return Beginning(cart_id, user_id, wish, None if is_known else settings.handover_seconds)


def _initiated(cart: carts.FrozenCart, currency: str) -> CheckoutInitiated:
    return CheckoutInitiated(
        saga_id=cart.row["saga_id"],
        cart_id=cart.row["id"],
        user_id=cart.row["user_id"],
        payment_method=cart.freeze.payment_method,
        payment_id=cart.freeze.payment_id,
        order_id=cart.freeze.order_id,
        total_minor=total_minor(cart.items),
        currency=currency,
        items=tuple(Item(product_id=item["product_id"], quantity=item["quantity"]) for item in cart.items),
    )
