"""Request and response bodies of carrito."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, RootModel

from carrito.domain import (
    Cart,
    CartStatus,
    Checkout,
    CheckoutRequest,
    FrozenCart,
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

Pattern = Literal["orchestrated", "choreographed"]
NO_CART = problem("No such cart")
NO_PATTERN = problem("Choreographed checkouts need a broker, and none is set")
NO_ORDER = problem("No such order")
NOT_CHECKED_OUT = problem("The cart is empty, being checked out (by the saga named) or checked out")


class CartIn(Body):
    """Whose cart."""

    user_id: UserId


class ItemIn(Body):
    """So many more of a product."""

    product_id: ProductId
    quantity: Quantity


class CheckoutRequestIn(Body):
    """Whose cart, and how it is to be paid."""

    user_id: UserId
    payment_method: PaymentMethod
    billing_address: Address
    saga_pattern: Pattern

    def request(self, cart_id: UUID, trace: str) -> CheckoutRequest:
        """The same in the domain's words."""
        return CheckoutRequest(
            cart_id=cart_id,
            user_id=self.user_id,
            payment_method=self.payment_method,
            billing_address=self.billing_address,
            saga_pattern=self.saga_pattern,
            trace=trace,
        )


class BeginCheckoutIn(CheckoutRequestIn):
    """For the services that run sagas; `traceparent` is for when the header is not this checkout's own."""

    traceparent: Annotated[str, Field(max_length=55), STORABLE] | None = None


class CheckoutIn(CheckoutRequestIn):
    """What to check out, and in which style."""

    cart_id: UUID
    saga_pattern: Pattern = "orchestrated"


class OfSagaIn(Body):
    """Which saga asks."""

    saga_id: UUID


class MaybeOfSagaIn(Body):
    """Which saga asks, if one does; a saga that is named must be the order's own."""

    saga_id: UUID | None = None


class OrderIn(Body):
    """An order of a cart; without `saga_id` the cart's id stands for it. Items and total are the cart's own."""

    saga_id: UUID | None = None
    cart_id: UUID
    order_id: UUID | None = Field(default=None, description="chosen by who may have to cancel one in doubt")
    user_id: UserId | None = None
    payment_id: UUID | None = None
    billing_address: Address | None = None
    amount: Amount | None = Field(default=None, description="what was paid; it must be the order's total")

    @property
    def saga(self) -> UUID:
        """Whose order it is to be."""
        return self.saga_id or self.cart_id

    def command(self) -> OrderRequest:
        """The same in the domain's words."""
        return OrderRequest(
            self.saga,
            self.cart_id,
            self.order_id,
            self.user_id,
            self.payment_id,
            self.billing_address,
            paid_minor=self.amount,
        )


class CartPath(Body):
    """A cart."""

    cart_id: UUID


class ItemPath(CartPath):
    """A product in a cart."""

    product_id: ProductId


class SagaPath(Body):
    """A saga."""

    saga_id: UUID


class OrderPath(Body):
    """An order."""

    order_id: UUID


class ItemOut(View):
    """A line; the price is inventario's, as it was when the product was last put in."""

    product_id: int
    name: str
    quantity: int
    unit_price: Money
    subtotal: Money


class CartOut(View):
    """A cart; `saga_id` names the saga that checks it out or did."""

    id: UUID
    user_id: str
    status: CartStatus
    saga_id: UUID | None
    items: list[ItemOut]
    total: Money

    @classmethod
    def of(cls, cart: Cart) -> "CartOut":
        """The view of a cart."""
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


class FrozenCartOut(CartOut):
    """A cart that was frozen just now, and the ids that its saga's payment and order are to have."""

    payment_id: UUID
    order_id: UUID

    @classmethod
    def frozen(cls, frozen: FrozenCart) -> "FrozenCartOut":
        """The view of a frozen cart."""
        ids = {"payment_id": frozen.freeze.payment_id, "order_id": frozen.freeze.order_id}
        return cls(**vars(CartOut.of(frozen.cart)), **ids)


class CheckoutDetailsOut(View):
    """What a saga is about, as frozen when its checkout began; ids are those that its payment and order are to have.

    Pattern and method are null for an order that was made without a checkout.
    """

    saga_id: UUID
    cart_id: UUID
    user_id: str
    saga_pattern: Pattern | None
    payment_method: str | None
    billing_address: str | dict[str, str] | None
    payment_id: UUID | None
    order_id: UUID | None
    items: list["OrderItemOut"]
    total: Money
    currency: str

    @classmethod
    def of(cls, checkout: Checkout) -> "CheckoutDetailsOut":
        """The view of a checkout."""
        items: list[Any] = loads(checkout.items)
        return cls(**{**vars(checkout), "items": items}, total=to_decimal(checkout.total_minor))


class StandingOut(View):
    """Whether what a saga did stands, so that none of it is undone alone."""

    saga_id: UUID
    stands: bool


class CheckoutOut(View):
    """The checkout was accepted: its saga is durable, and will end. With `Prefer: wait=N`, the saga itself."""

    saga_id: UUID
    status: str = "pending"
    cart_id: UUID
    user_id: str
    payment_method: str
    saga_pattern: Pattern


class OrderItemOut(View):
    """A line of an order."""

    product_id: int
    name: str
    quantity: int
    unit_price: Money


class OrderOut(View):
    """An order. `void` is one that was cancelled before it came to be."""

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
        """The view of an order."""
        items: list[Any] = loads(order.items)
        return cls(**{**vars(order), "items": items}, total=to_decimal(order.total_minor))


class VoidOut(View):
    """An order that never came to be, and never will."""

    id: UUID
    saga_id: UUID
    status: Literal[OrderStatus.VOID] = OrderStatus.VOID


class CancelledOut(RootModel[OrderOut | VoidOut]):
    """The cancelled order, or one that never came to be."""

    @classmethod
    def of(cls, order: Order | VoidOrder) -> OrderOut | VoidOut:
        """The view of a cancelled order."""
        if isinstance(order, Order):
            return OrderOut.of(order)
        return VoidOut(id=order.order_id, saga_id=order.saga_id)


class OrdersOut(View):
    """The orders that a cart ever had, oldest first."""

    items: list[OrderOut]
