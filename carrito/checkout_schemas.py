"""Request and response bodies of checkouts."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from carrito.checkout_domain import Checkout, CheckoutRequest, NewlyFrozenCart
from carrito.order_schemas import OrderItemOut, with_items_and_total
from carrito.schemas import CartOut
from shared.http.openapi import problem
from shared.http.schemas import STORABLE, Address, Body, Money, PaymentMethod, UserId, View

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

    @classmethod
    def frozen(cls, frozen: NewlyFrozenCart) -> "FrozenCartOut":
        """Make the view of a frozen cart."""
        ids = {"payment_id": frozen.freeze.payment_id, "order_id": frozen.freeze.order_id}
        return cls(**vars(CartOut.of(frozen.cart)), **ids)


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
