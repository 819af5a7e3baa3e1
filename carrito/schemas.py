"""Request and response bodies of carts, orders and checkouts."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, RootModel

from carrito.domain import (
    Cart,
    CartStatus,
    Checkout,
    CheckoutRequest,
    NewlyFrozenCart,
    Order,
    OrderRequest,
    OrderStatus,
    VoidOrder,
    total_minor,
)
from shared.http.openapi import problem
from shared.http.schemas import (
    STORABLE,
    Address,
    Amount,
    Body,
    Money,
    PaymentMethod,
    ProductId,
    Quantity,
    Time,
    UserId,
    View,
)
from shared.json_codec import loads
from shared.money import to_decimal

NO_CART = problem("No such cart")


class CartIn(Body):
    """The user whose cart it is."""

    user_id: UserId


class ItemIn(Body):
    """A quantity of a product to add."""

    product_id: ProductId
    quantity: Quantity


class CartPath(Body):
    """A cart."""

    cart_id: UUID


class ItemPath(CartPath):
    """A product in a cart."""

    product_id: ProductId


class ItemOut(View):
    """A line of a cart; the price is inventario's when the product was last added."""

    product_id: int
    name: str
    quantity: int
    unit_price: Money
    subtotal: Money


class CartOut(View):
    """A cart; `saga_id` is the saga that checks it out, or did."""

    id: UUID
    user_id: str
    status: CartStatus
    saga_id: UUID | None
    items: list[ItemOut]
    total: Money

    @classmethod
    def of(cls, cart: Cart) -> "CartOut":
        """Make the view of a cart."""
        items = [
            ItemOut(
                product_id=line.product_id,
                name=line.name,
                quantity=line.quantity,
                unit_price=to_decimal(line.unit_price_minor),
                subtotal=to_decimal(line.unit_price_minor * line.quantity),
            )
            for line in cart.lines
        ]
        return cls(**vars(cart), items=items, total=to_decimal(total_minor(cart.lines)))


NO_ORDER = problem("No such order")


class ReleasedOut(View):
    """The saga that released its cart, and the cart, which may be another saga's by now."""

    saga_id: UUID
    cart: CartOut


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


Style = Literal["orchestrated", "choreographed"]
NO_STYLE = problem("Choreographed checkouts need a broker, and none is set")
NOT_CHECKED_OUT = problem("The cart is empty, being checked out (by the saga named) or checked out")


class CheckoutRequestIn(Body):
    """The user, how the user pays, and the style of the saga."""

    user_id: UserId
    payment_method: PaymentMethod
    billing_address: Address
    saga_pattern: Style

    def request(self, cart_id: UUID, trace: str) -> CheckoutRequest:
        """The request as a value of the domain."""
        return CheckoutRequest(
            cart_id=cart_id,
            user_id=self.user_id,
            payment_method=self.payment_method,
            billing_address=self.billing_address,
            saga_pattern=self.saga_pattern,
            trace=trace,
        )


class BeginCheckoutIn(CheckoutRequestIn):
    """A saga service's request for a checkout; `traceparent`, if given, replaces the header of that name.

    `saga_id` names the saga of a checkout that carrito has begun itself.
    """

    traceparent: Annotated[str, Field(max_length=55), STORABLE] | None = None
    saga_id: UUID | None = None


class CartCheckoutIn(CheckoutRequestIn):
    """The cart to check out, and the style of its saga."""

    cart_id: UUID
    saga_pattern: Style = "orchestrated"


class SagaPath(Body):
    """A saga."""

    saga_id: UUID


class FrozenCartOut(CartOut):
    """A cart that was frozen just now, with the ids that its saga's payment and order will have."""

    payment_id: UUID
    order_id: UUID
    currency: str

    @classmethod
    def frozen(cls, frozen: NewlyFrozenCart, currency: str) -> "FrozenCartOut":
        """Make the view of a cart that was frozen in this currency."""
        ids = {"payment_id": frozen.freeze.payment_id, "order_id": frozen.freeze.order_id}
        return cls(**vars(CartOut.of(frozen.cart)), **ids, currency=currency)


class CheckoutDetailsOut(View):
    """What a saga is about, fixed when its checkout began, with the ids that its payment and order will have.

    Style and method are null for an order that was made without a checkout.
    """

    saga_id: UUID
    cart_id: UUID
    user_id: str
    saga_pattern: Style | None
    payment_method: str | None
    billing_address: str | dict[str, str] | None
    payment_id: UUID | None
    order_id: UUID | None
    items: list[OrderItemOut]
    total: Money
    currency: str

    @classmethod
    def of(cls, checkout: Checkout) -> "CheckoutDetailsOut":
        """Make the view of a checkout."""
        return cls(**with_items_and_total(checkout))


class StandingOut(View):
    """Whether a saga stands; while it does, none of its steps is compensated alone."""

    saga_id: UUID
    stands: bool


class CheckoutOut(View):
    """An accepted checkout: its saga is durable, and will end. With `Prefer: wait=N` the answer is the saga itself."""

    saga_id: UUID
    status: str = "pending"
    cart_id: UUID
    user_id: str
    payment_method: str
    saga_pattern: Style
