"""The rules of orders: an order is what its saga's checkout is about, and belongs to one saga."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from carrito.checkout_domain import CartFreeze, Checkout
from carrito.domain import Address, no_cart_of
from shared.errors import Conflict, DomainError, NotFound
from shared.saga.repetition import contradiction

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
    """A request to confirm or cancel a saga's order; an `order_id` that is given must be that order's."""

    saga_id: UUID
    order_id: UUID | None = None

    @property
    def named(self) -> dict[str, Any]:
        """No fields: the order's id is compared with the saga's order."""
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
    """Return the refusal of a command that names another order id than the saga's checkout chose, if it chose one."""
    chosen = {} if checkout is None else {"order_id": checkout.order_id}
    return contradiction(command.saga_id, "the checkout", chosen, {"order_id": command.order_id})


def freeze_for(request: OrderRequest) -> CartFreeze:
    """Make the freeze of an open cart for an order without a checkout."""
    return CartFreeze(
        saga_id=request.saga_id,
        cart_id=request.cart_id,
        payment_id=request.payment_id,
        order_id=request.order_id,
        billing_address=request.billing_address,
    )


def mismatch(command: OrderOfSaga, related: Iterable[Order]) -> OrderOfAnotherSaga | None:
    """Return the refusal of a command unless all these orders have its saga and, if it names one, its order id."""
    for order in related:
        if command.order_id not in {None, order.id} or order.saga_id != command.saga_id:
            return of_another(command.order_id or order.id)
    return None


def of_another(order_id: UUID | None) -> OrderOfAnotherSaga:
    """Make the refusal for an order of another saga."""
    return OrderOfAnotherSaga(f"order {order_id} belongs to another saga", order_id=order_id, field="order_id")


def no_order(order_id: UUID) -> OrderNotFound:
    """Make the error for an order that does not exist."""
    return OrderNotFound(f"there is no order {order_id}", order_id=order_id)
