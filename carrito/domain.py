"""The rules of carts: states, limits and named errors. Those of checkouts and orders are in modules of their own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shared.errors import Conflict, DomainError, NotFound
from shared.money import MAX_MINOR

MAX_LINES = 100  # the most that inventario reserves at once
MAX_QUANTITY = 1_000_000
Address = str | Mapping[str, str]


class CartStatus(StrEnum):
    """open -> checking_out (by one saga) -> checked_out; back to open when that saga was compensated."""

    OPEN = "open"
    CHECKING_OUT = "checking_out"
    CHECKED_OUT = "checked_out"


class CartNotFound(NotFound):
    """No such cart."""


class ItemNotFound(NotFound):
    """No such product in the cart."""


class CartNotOpen(Conflict):
    """The cart is not open."""


class CartEmpty(Conflict):
    """The cart is empty."""


class CartFull(Conflict):
    """The cart holds no more."""


class NotEnoughStock(Conflict):
    """Not enough stock."""


@dataclass(frozen=True)
class CartLine:
    """A quantity of a product in a cart; the price, in minor units, is inventario's when it was last added."""

    product_id: int
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True)
class Cart:
    """A cart. Its lines, in the order of products, are empty unless they were read with it."""

    id: UUID
    user_id: str
    status: str
    saga_id: UUID | None
    idle_since: datetime | None
    created_at: datetime
    lines: Sequence[CartLine] = ()


@dataclass(frozen=True)
class Product:
    """A product as inventario describes it; price in minor units."""

    product_id: int
    name: str
    price_minor: int
    available: int


def total_minor(lines: Iterable[CartLine]) -> int:
    """The sum of the lines, in minor units."""
    return sum(line.unit_price_minor * line.quantity for line in lines)


def check_stock(product: Product, wanted: int) -> None:
    """Raise `NotEnoughStock` when more is wanted than is available now. Only the reservation decides."""
    if wanted > product.available:
        raise NotEnoughStock(
            f"product {product.product_id}: {wanted} wanted, {product.available} available",
            product_id=product.product_id,
            wanted=wanted,
            available=product.available,
        )


def check_room(lines: Sequence[CartLine]) -> None:
    """Raise `CartFull` for a cart beyond the limits of a reservation or a payment."""
    if len(lines) > MAX_LINES:
        raise CartFull(f"a cart holds at most {MAX_LINES} products", lines=len(lines))
    if any(line.quantity > MAX_QUANTITY for line in lines):
        raise CartFull(f"a cart holds at most {MAX_QUANTITY} of a product")
    if total_minor(lines) > MAX_MINOR:
        raise CartFull("the total is beyond any amount handled here")


def no_cart(cart_id: UUID) -> CartNotFound:
    """Make the error for a cart that does not exist."""
    return CartNotFound(f"there is no cart {cart_id}", cart_id=cart_id)


def no_cart_of(user_id: str, cart_id: UUID) -> CartNotFound:
    """Make the error for a cart that is another user's."""
    return CartNotFound(f"user {user_id} has no cart {cart_id}", cart_id=cart_id)


def unusable(cart_id: UUID, user_id: str | None, cart: Cart | None) -> DomainError | None:
    """Return the refusal of a request for a cart; None when the cart is open and belongs to the named user, if any."""
    if cart is None:
        return no_cart(cart_id)
    if user_id is not None and user_id != cart.user_id:
        return no_cart_of(user_id, cart_id)
    return None if cart.status == CartStatus.OPEN else not_open(cart)


def not_open(cart: Cart) -> CartNotOpen:
    """Make the error for a cart that a saga has; it names that saga."""
    detail = f"cart {cart.id} is {cart.status} by saga {cart.saga_id}"
    return CartNotOpen(detail, cart_status=cart.status, saga_id=cart.saga_id)


def no_lines(cart_id: UUID) -> CartEmpty:
    """Make the error for a cart without lines."""
    return CartEmpty(f"cart {cart_id} is empty", cart_id=cart_id)
