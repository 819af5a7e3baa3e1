"""The beginning of a checkout: its cart is frozen, and its saga will not be forgotten from that commit on.

An orchestrated saga is handed over to its service (`handover.py`); a choreographed one begins with an event.
"""

from uuid import UUID

from sqlalchemy import Connection

from carrito import carts
from carrito.config import Settings
from carrito.domain import PatternNotAvailable, Wish, total_minor
from carrito.models import outbox
from shared.event_bus import CheckoutInitiated, Event, Item
from shared.ids import new_id


def begin(uow: Connection, cart_id: UUID, user_id: str, wish: Wish, settings: Settings) -> carts.Cart:
    """Freeze the cart for a new saga: of many at once, one. Raises what `carts.begin_checkout` raises."""
    if wish.saga_pattern != "choreographed":
        return carts.begin_checkout(uow, cart_id, user_id, wish, settings.handover_seconds)
    if settings.rabbitmq_url is None:
        raise PatternNotAvailable("choreographed checkouts need a broker: RABBITMQ_URL is not set")
    cart = carts.begin_checkout(uow, cart_id, user_id, wish, None)
    outbox.stage(uow, [Event(_initiated(cart, wish, settings.currency), trace=wish.trace)])
    return cart


def _initiated(cart: carts.Cart, wish: Wish, currency: str) -> CheckoutInitiated:
    return CheckoutInitiated(
        saga_id=cart.row["saga_id"],
        cart_id=cart.row["id"],
        user_id=cart.row["user_id"],
        payment_method=wish.payment_method,
        payment_id=new_id(),
        order_id=new_id(),
        total_minor=total_minor(cart.items),
        currency=currency,
        items=tuple(Item(product_id=item["product_id"], quantity=item["quantity"]) for item in cart.items),
    )
