"""The rules of checkouts: what a saga is about from the moment at which its cart is frozen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from carrito.domain import Address, Cart
from shared.errors import Conflict, NotFound, Unsupported


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
    """A checkout as it is handed over to its saga service, with the faults to inject into its saga.

    `by_saga_service`: the service had the cart frozen itself, so that it probably knows the saga.
    """

    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_method: str | None
    billing_address: Address | None
    saga_pattern: str
    trace: str
    fault: str | None
    by_saga_service: bool = False


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
