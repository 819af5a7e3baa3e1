"""What carrito promises about carts and orders: states, rules and named errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.errors import Conflict, NotFound, Unsupported
from shared.money import MAX_MINOR

CREATE_ORDER = "create_order"
MAX_LINES = 100  # as many as inventario reserves at once
MAX_QUANTITY = 1_000_000


class CartStatus(StrEnum):
    """open -> checking_out (by one saga) -> checked_out; back to open when that saga was compensated."""

    OPEN = "open"
    CHECKING_OUT = "checking_out"
    CHECKED_OUT = "checked_out"


class OrderStatus(StrEnum):
    """pending -> confirmed; pending or confirmed -> cancelled. `void` is an order that never came to be."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    VOID = "void"


class CartNotFound(NotFound):
    """No such cart."""


class ItemNotFound(NotFound):
    """No such product in the cart."""


class OrderNotFound(NotFound):
    """No such order."""


class CartNotOpen(Conflict):
    """The cart is not open."""


class CartEmpty(Conflict):
    """The cart is empty."""


class CartFull(Conflict):
    """The cart holds no more."""


class NotEnoughStock(Conflict):
    """Not enough stock."""


class OrderOfAnotherSaga(Conflict):
    """The order belongs to another saga."""


class OrderCancelled(Conflict):
    """The order was cancelled."""


class OrderStands(Conflict):
    """The cart's order was not cancelled."""


class PatternNotAvailable(Unsupported):
    """This pattern is not available here."""


@dataclass(frozen=True)
class Wish:
    """How a cart is to be checked out: kept beside the cart until its saga has it.

    `trace` is the `traceparent` of the request that wished it.
    """

    payment_method: str
    billing_address: str | Mapping[str, str]
    saga_pattern: str
    trace: str


@dataclass(frozen=True)
class Product:
    """A product as inventario describes it; price in minor units."""

    product_id: int
    name: str
    price_minor: int
    available: int


@dataclass(frozen=True)
class OrderRequest:
    """An order to be; items and total are the cart's own."""

    saga_id: UUID
    cart_id: UUID
    order_id: UUID
    user_id: str | None
    payment_id: UUID | None
    billing_address: str | Mapping[str, str] | None


def total_minor(items: Any) -> int:
    """What the lines cost together, in minor units."""
    return sum(item["unit_price_minor"] * item["quantity"] for item in items)


def check_stock(product: Product, wanted: int) -> None:
    """Raise `NotEnoughStock` when more is wanted than there is; it is decided for good only when it is reserved."""
    if wanted > product.available:
        raise NotEnoughStock(
            f"product {product.product_id}: {wanted} wanted, {product.available} available",
            product_id=product.product_id,
            wanted=wanted,
            available=product.available,
        )


def check_room(items: Any) -> None:
    """Raise `CartFull` for a cart that nobody could reserve or pay for."""
    if len(items) > MAX_LINES:
        raise CartFull(f"a cart holds at most {MAX_LINES} products", lines=len(items))
    if any(item["quantity"] > MAX_QUANTITY for item in items):
        raise CartFull(f"a cart holds at most {MAX_QUANTITY} of a product")
    if total_minor(items) > MAX_MINOR:
        raise CartFull("the total is beyond any amount handled here")


def not_open(cart_id: UUID, status: str, saga_id: UUID | None) -> CartNotOpen:
    """The error for a cart that a saga has, naming that saga."""
    return CartNotOpen(f"cart {cart_id} is {status} by saga {saga_id}", cart_status=status, saga_id=saga_id)
