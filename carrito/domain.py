"""The rules of carts, checkouts (what a saga is about, once its cart is frozen) and orders: states, limits, errors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.errors import Conflict, DomainError, NotFound, Unsupported
from shared.money import MAX_MINOR
from shared.saga.repetition import contradiction

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


class StyleNotAvailable(Unsupported):
    """This style is not available here."""


class CheckoutNotFound(NotFound):
    """No such checkout."""


def no_checkout(saga_id: UUID) -> CheckoutNotFound:
    """Return the error for a saga for which no cart was ever frozen."""
    return CheckoutNotFound(f"no cart was ever frozen for saga {saga_id}", saga_id=saga_id)


class CartOfAnotherSaga(Conflict):
    """The saga never had this cart."""


class OrderStands(Conflict):
    """The cart's order was not cancelled."""


@dataclass(frozen=True, kw_only=True)
class CheckoutRequest:
    """A user's request to check a cart out; `trace` is the `traceparent` of the HTTP request."""

    cart_id: UUID
    user_id: str
    payment_method: str
    billing_address: Address
    saga_pattern: str
    trace: str

    @property
    def named(self) -> dict[str, Any]:
        """The fields by which a repeated request is compared with the checkout."""
        names = ("cart_id", "user_id", "payment_method", "billing_address", "saga_pattern")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class HandedOverCheckout:
    """A checkout as it was handed over: the saga for which the cart was frozen, and the user's request."""

    saga_id: UUID
    request: CheckoutRequest


@dataclass(frozen=True)
class HandoverPlan:
    """When the worker hands a checkout over, in seconds (None: never), and whether the saga's service began it."""

    seconds: float | None
    by_saga_service: bool


@dataclass(frozen=True, kw_only=True)
class CartFreeze:
    """A cart to freeze for a saga, and the fields of the saga's checkout that the cart does not have.

    The worker hands the checkout over when `handover_seconds` have passed without a handover; None: none is needed.
    `by_saga_service`: the saga service had the cart frozen itself; the worker asks it whether it knows the saga. For an
    order without a checkout, style and payment method are None, and so may be the ids.
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
    by_saga_service: bool = False


@dataclass(frozen=True)
class NewlyFrozenCart:
    """A cart with its lines that was frozen just now."""

    cart: Cart
    freeze: CartFreeze


@dataclass(frozen=True)
class Checkout:
    """What a saga is about, fixed when its cart was frozen; `saga_pattern` is None if only an order was made."""

    saga_id: UUID
    cart_id: UUID
    user_id: str
    saga_pattern: str | None
    payment_method: str | None
    billing_address: Address | None
    payment_id: UUID | None
    order_id: UUID | None
    items: str  # the JSON text that carrito wrote, in which prices are exact
    total_minor: int
    currency: str
    trace: str | None
    fault: str | None
    handover_due_at: datetime | None
    by_saga_service: bool
    created_at: datetime

    @property
    def named(self) -> dict[str, Any]:
        """The fields by which a repeated request is compared with it; none matches a saga that began with an order."""
        return {**vars(self), "saga_pattern": self.saga_pattern or ""}


@dataclass(frozen=True, kw_only=True)
class CheckoutHandover:
    """A checkout as it is handed over to its saga service, with the faults to inject into its saga."""

    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_method: str | None
    billing_address: Address | None
    saga_pattern: str
    trace: str
    fault: str | None


@dataclass(frozen=True)
class Release:
    """A request to open a cart again, if this saga has it."""

    cart_id: UUID
    saga_id: UUID

    @property
    def named(self) -> dict[str, Any]:
        """No fields: the cart's id is compared with the saga's checkout."""
        return {}


def begun_by_a_checkout(checkout: Checkout | None) -> bool:
    """Whether the saga began with a checkout, so that a saga service runs it. Others are begun by single requests."""
    return checkout is not None and checkout.saga_pattern is not None


CREATE_ORDER = "create_order"


class OrderStatus(StrEnum):
    """pending -> confirmed; pending or confirmed -> cancelled. `void` is an order that never came to be."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    VOID = "void"


class OrderNotFound(NotFound):
    """No such order."""


class OrderOfAnotherSaga(Conflict):
    """The order belongs to another saga."""


class OrderAlreadyCancelled(Conflict):
    """The order was cancelled."""


@dataclass(frozen=True)
class OrderRequest:
    """A request for an order of a cart. Items and total are the frozen cart's; `paid_minor` must be that total."""

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
        """The fields that must be those of the saga's checkout, by the names of its columns."""
        fields = ("cart_id", "user_id", "order_id", "payment_id", "billing_address", "currency")
        return {**{name: getattr(self, name) for name in fields}, "total_minor": self.paid_minor}


@dataclass(frozen=True)
class OrderOfSaga:
    """A request to confirm or cancel a saga's order; an `order_id` or `cart_id` that is given must be that order's."""

    saga_id: UUID
    order_id: UUID | None = None
    cart_id: UUID | None = None

    @property
    def named(self) -> dict[str, Any]:
        """No fields: the ids are compared with the saga's checkout and order."""
        return {}


@dataclass(frozen=True)
class Order:
    """A saga's order."""

    id: UUID
    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_id: UUID | None
    billing_address: Address | None
    items: str  # the JSON text that carrito wrote, in which prices are exact
    total_minor: int
    currency: str
    status: str
    created_at: datetime


@dataclass(frozen=True)
class VoidOrder:
    """An order that was cancelled before it was created, and never will be created; no row is stored for it."""

    saga_id: UUID
    order_id: UUID | None


def differs(request: OrderRequest, checkout: Checkout | None) -> DomainError | None:
    """Return the refusal of an order that differs from its saga's checkout, also in the paid amount; else None."""
    if checkout is None:
        return None
    if request.user_id is not None and request.user_id != checkout.user_id:
        return no_cart_of(request.user_id, request.cart_id)
    return contradiction(request.saga_id, "the checkout", vars(checkout), request.named)


def other_order(command: OrderOfSaga, checkout: Checkout | None) -> DomainError | None:
    """Return the refusal of a command that names another cart than the saga's checkout, or another order than it chose.

    A checkout may have chosen no order.
    """
    chosen = {} if checkout is None else {"order_id": checkout.order_id, "cart_id": checkout.cart_id}
    named = {"order_id": command.order_id, "cart_id": command.cart_id}
    return contradiction(command.saga_id, "the checkout", chosen, named)


def freeze_for(request: OrderRequest) -> CartFreeze:
    """Make the freeze of an open cart for an order without a checkout."""
    return CartFreeze(
        saga_id=request.saga_id,
        cart_id=request.cart_id,
        payment_id=request.payment_id,
        order_id=request.order_id,
        billing_address=request.billing_address,
    )


def mismatch(command: OrderOfSaga, related: Iterable[Order]) -> DomainError | None:
    """Return the refusal of a command unless all these orders have its saga, and the id and cart that it names."""
    for order in related:
        if command.order_id not in {None, order.id} or order.saga_id != command.saga_id:
            return of_another(command.order_id or order.id)
        if command.cart_id not in {None, order.cart_id}:
            return contradiction(command.saga_id, "the order", vars(order), {"cart_id": command.cart_id})
    return None


def of_another(order_id: UUID | None) -> OrderOfAnotherSaga:
    """Make the refusal for an order of another saga."""
    return OrderOfAnotherSaga(f"order {order_id} belongs to another saga", order_id=order_id, field="order_id")


def no_order(order_id: UUID) -> OrderNotFound:
    """Make the error for an order that does not exist."""
    return OrderNotFound(f"there is no order {order_id}", order_id=order_id)
