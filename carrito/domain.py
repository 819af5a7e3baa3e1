"""What carrito promises about carts and orders: states, rules and named errors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.errors import Conflict, DomainError, NotFound, Unsupported
from shared.money import MAX_MINOR
from shared.saga.repetition import contradiction

CREATE_ORDER = "create_order"
MAX_LINES = 100  # as many as inventario reserves at once
MAX_QUANTITY = 1_000_000
Address = str | Mapping[str, str]


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


class CheckoutNotFound(NotFound):
    """No such checkout."""


class CartOfAnotherSaga(Conflict):
    """The saga never had this cart."""


@dataclass(frozen=True, kw_only=True)
class CheckoutRequest:
    """A user's cart to be checked out, and how; `trace` is the `traceparent` of the HTTP request."""

    cart_id: UUID
    user_id: str
    payment_method: str
    billing_address: Address
    saga_pattern: str
    trace: str


@dataclass(frozen=True, kw_only=True)
class CartFreeze:
    """A cart to be frozen for a saga, and what the saga is about beside the cart's lines.

    The saga's service is told of the checkout after `handover_seconds`; None: it knows of it already. An order that is
    made without a checkout names no pattern, no method, and perhaps no ids.
    """

    saga_id: UUID
    cart_id: UUID
    payment_id: UUID | None
    order_id: UUID | None
    billing_address: Address | None
    saga_pattern: str | None = None
    payment_method: str | None = None
    trace: str | None = None
    handover_seconds: float | None = None


@dataclass(frozen=True)
class CartLine:
    """So many of a product in a cart; the price, in minor units, is inventario's when it was last put in."""

    product_id: int
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True)
class Cart:
    """A cart; its lines, in the order of products, are there only if they were read with it."""

    id: UUID
    user_id: str
    status: str
    saga_id: UUID | None
    idle_since: datetime | None
    created_at: datetime
    lines: Sequence[CartLine] = ()


@dataclass(frozen=True)
class FrozenCart:
    """A cart with its lines that was frozen just now, and for what."""

    cart: Cart
    freeze: CartFreeze


@dataclass(frozen=True)
class Checkout:
    """What a saga is about, as it was when its cart was frozen. An order without a checkout has no saga pattern."""

    saga_id: UUID
    cart_id: UUID
    user_id: str
    saga_pattern: str | None
    payment_method: str | None
    billing_address: Address | None
    payment_id: UUID | None
    order_id: UUID | None
    items: str  # JSON of our own making, in which prices stay exact
    total_minor: int
    currency: str
    trace: str | None
    fault: str | None
    handover_due_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class CheckoutHandover:
    """What a saga's service is told of a checkout, and the faults that its saga is to suffer on purpose."""

    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_method: str | None
    billing_address: Address | None
    saga_pattern: str
    trace: str
    fault: str | None


@dataclass(frozen=True)
class Order:
    """A saga's order."""

    id: UUID
    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_id: UUID | None
    billing_address: Address | None
    items: str  # JSON of our own making, in which prices stay exact
    total_minor: int
    currency: str
    status: str
    created_at: datetime


@dataclass(frozen=True)
class VoidOrder:
    """An order that was cancelled before it was made, so that it never is; it is stored nowhere."""

    saga_id: UUID
    order_id: UUID | None


@dataclass(frozen=True)
class Product:
    """A product as inventario describes it; price in minor units."""

    product_id: int
    name: str
    price_minor: int
    available: int


@dataclass(frozen=True)
class OrderRequest:
    """An order to be; items and total are the cart's own, as frozen. What was paid must be that total (minor units)."""

    saga_id: UUID
    cart_id: UUID
    order_id: UUID | None = None
    user_id: str | None = None
    payment_id: UUID | None = None
    billing_address: Address | None = None
    paid_minor: int | None = None
    currency: str | None = None

    @property
    def named(self) -> dict[str, Any]:
        """What the request says of its saga, as a checkout's row calls it."""
        fields = ("cart_id", "user_id", "order_id", "payment_id", "billing_address", "currency")
        return {**{name: getattr(self, name) for name in fields}, "total_minor": self.paid_minor}


@dataclass(frozen=True)
class OrderOfSaga:
    """A saga's order to be confirmed or cancelled; it must be the one that is named, if one is."""

    saga_id: UUID
    order_id: UUID | None = None

    @property
    def named(self) -> dict[str, Any]:
        """Nothing: the order's id is compared with the saga's order."""
        return {}


@dataclass(frozen=True)
class Release:
    """A cart to be opened again, if this saga has it."""

    cart_id: UUID
    saga_id: UUID

    @property
    def named(self) -> dict[str, Any]:
        """Nothing: the cart's id is compared with the saga's checkout."""
        return {}


def total_minor(lines: Iterable[CartLine]) -> int:
    """What the lines cost together, in minor units."""
    return sum(line.unit_price_minor * line.quantity for line in lines)


def check_stock(product: Product, wanted: int) -> None:
    """Raise `NotEnoughStock` when more is wanted than there is; it is decided for good only when it is reserved."""
    if wanted > product.available:
        raise NotEnoughStock(
            f"product {product.product_id}: {wanted} wanted, {product.available} available",
            product_id=product.product_id,
            wanted=wanted,
            available=product.available,
        )


def check_room(lines: Sequence[CartLine]) -> None:
    """Raise `CartFull` for a cart that nobody could reserve or pay for."""
    if len(lines) > MAX_LINES:
        raise CartFull(f"a cart holds at most {MAX_LINES} products", lines=len(lines))
    if any(line.quantity > MAX_QUANTITY for line in lines):
        raise CartFull(f"a cart holds at most {MAX_QUANTITY} of a product")
    if total_minor(lines) > MAX_MINOR:
        raise CartFull("the total is beyond any amount handled here")


def differs(request: OrderRequest, checkout: Checkout | None) -> DomainError | None:
    """The refusal of an order unless it is what its saga is about, if that is known; what was paid included."""
    if checkout is None:
        return None
    if request.user_id not in {None, checkout.user_id}:
        return CartNotFound(f"user {request.user_id} has no cart {request.cart_id}", cart_id=request.cart_id)
    return contradiction(request.saga_id, "the checkout", vars(checkout), request.named)


def other_order(command: OrderOfSaga, checkout: Checkout | None) -> DomainError | None:
    """The refusal of a command for another order than the one whose id the saga's checkout chose, if it chose one."""
    chosen = {} if checkout is None else {"order_id": checkout.order_id}
    return contradiction(command.saga_id, "the checkout", chosen, {"order_id": command.order_id})


def begun_by_a_checkout(checkout: Checkout | None) -> bool:
    """Whether a saga service runs the saga; the steps of other sagas are requested one by one, by anybody."""
    return checkout is not None and checkout.saga_pattern is not None


def why_not_frozen(request: CheckoutRequest, cart: Cart | None) -> DomainError | None:
    """The refusal of a checkout unless this is the user's cart, and open."""
    if cart is None:
        return no_cart(request.cart_id)
    if cart.user_id != request.user_id:
        return CartNotFound(f"user {request.user_id} has no cart {request.cart_id}", cart_id=request.cart_id)
    return None if cart.status == CartStatus.OPEN else not_open(cart)


def unusable(request: OrderRequest, cart: Cart | None) -> DomainError | None:
    """The refusal of an order without a checkout unless this is the user's cart, and open."""
    if cart is None:
        return no_cart(request.cart_id)
    if request.user_id not in {None, cart.user_id}:
        return CartNotFound(f"user {request.user_id} has no cart {request.cart_id}", cart_id=request.cart_id)
    return None if cart.status == CartStatus.OPEN else not_open(cart)


def freeze_for(request: OrderRequest) -> CartFreeze:
    """What an order makes of an open cart: its saga is about the cart, and about what the order says."""
    return CartFreeze(
        saga_id=request.saga_id,
        cart_id=request.cart_id,
        payment_id=request.payment_id,
        order_id=request.order_id,
        billing_address=request.billing_address,
    )


def mismatch(command: OrderOfSaga, related: Iterable[Order]) -> OrderOfAnotherSaga | None:
    """The refusal unless all these orders have both of the ids: a saga acts on its own order only."""
    for order in related:
        if command.order_id not in {None, order.id} or order.saga_id != command.saga_id:
            return of_another(command.order_id or order.id)
    return None


def of_another(order_id: UUID | None) -> OrderOfAnotherSaga:
    """The error for an order that is not the saga's own."""
    return OrderOfAnotherSaga(f"order {order_id} belongs to another saga", order_id=order_id, field="order_id")


def no_order(order_id: UUID) -> OrderNotFound:
    """The error for an order that there is not."""
    return OrderNotFound(f"there is no order {order_id}", order_id=order_id)


def no_cart(cart_id: UUID) -> CartNotFound:
    """The error for a cart that there is not."""
    return CartNotFound(f"there is no cart {cart_id}", cart_id=cart_id)


def no_lines(cart_id: UUID) -> CartEmpty:
    """The error for a cart with nothing in it."""
    return CartEmpty(f"cart {cart_id} is empty", cart_id=cart_id)


def not_open(cart: Cart) -> CartNotOpen:
    """The error for a cart that a saga has, naming that saga."""
    detail = f"cart {cart.id} is {cart.status} by saga {cart.saga_id}"
    return CartNotOpen(detail, cart_status=cart.status, saga_id=cart.saga_id)
