"""Request and response bodies of orders."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field, RootModel

from carrito.checkout_domain import Checkout
from carrito.order_domain import Order, OrderRequest, OrderStatus, VoidOrder
from shared.http.openapi import problem
from shared.http.schemas import Address, Amount, Body, Money, Time, UserId, View
from shared.json_codec import loads
from shared.money import to_decimal

NO_ORDER = problem("No such order")


class OfSagaIn(Body):
    """The saga that has the cart."""

    saga_id: UUID


class MaybeOfSagaIn(Body):
    """The saga of the order, if it is named; another saga is refused."""

    saga_id: UUID | None = None


class OrderIn(Body):
    """An order of a cart; without `saga_id` the cart's id is used. Items and total are the frozen cart's."""

    saga_id: UUID | None = None
    cart_id: UUID
    order_id: UUID | None = Field(
        default=None, description="chosen by the client, so that it can cancel the order without an answer"
    )
    user_id: UserId | None = None
    payment_id: UUID | None = None
    billing_address: Address | None = None
    amount: Amount | None = Field(default=None, description="the paid amount; it must be the order's total")

    @property
    def saga(self) -> UUID:
        """The saga of the order."""
        return self.saga_id or self.cart_id

    def command(self) -> OrderRequest:
        """The request as a value of the domain."""
        return OrderRequest(
            self.saga,
            self.cart_id,
            self.order_id,
            self.user_id,
            self.payment_id,
            self.billing_address,
            paid_minor=self.amount,
        )


class OrderPath(Body):
    """An order."""

    order_id: UUID


class OrderItemOut(View):
    """A line of an order."""

    product_id: int
    name: str
    quantity: int
    unit_price: Money


def with_items_and_total(stored: Order | Checkout) -> dict[str, Any]:
    """The fields of an order or a checkout, with its lines and its total as the API shows them."""
    return {**vars(stored), "items": loads(stored.items), "total": to_decimal(stored.total_minor)}


class OrderOut(View):
    """An order. A `void` one was cancelled before it was created."""

    id: UUID
    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_id: UUID | None
    billing_address: str | dict[str, str] | None
    items: list[OrderItemOut]
    total: Money
    currency: str
    status: OrderStatus
    created_at: Time

    @classmethod
    def of(cls, order: Order) -> "OrderOut":
        """Make the view of an order."""
        return cls(**with_items_and_total(order))


class VoidOut(View):
    """An order that was cancelled before it was created, and never will be created."""

    id: UUID
    saga_id: UUID
    status: Literal[OrderStatus.VOID] = OrderStatus.VOID


class CancelledOut(RootModel[OrderOut | VoidOut]):
    """The cancelled order, or a void one."""

    @classmethod
    def of(cls, order: Order | VoidOrder) -> OrderOut | VoidOut:
        """Make the view of a cancelled order."""
        if isinstance(order, Order):
            return OrderOut.of(order)
        return VoidOut(id=order.order_id, saga_id=order.saga_id)


class OrdersOut(View):
    """All orders that a cart ever had, oldest first."""

    items: list[OrderOut]
