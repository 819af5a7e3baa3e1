"""What a saga service knows of a checkout when it accepts its saga."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypedDict
from uuid import UUID

from shared.saga.views import CheckoutIn


class FrozenLine(TypedDict):
    """A quantity of a product."""

    product_id: int
    quantity: int


class FrozenCart(TypedDict):
    """carrito's answer: what it froze for the saga, and the ids that it chose for the saga's payment and order.

    A cart that was frozen before carrito chose ids has none.
    """

    saga_id: str
    items: Sequence[FrozenLine]
    total: Decimal
    payment_id: str | None
    order_id: str | None


@dataclass(frozen=True)
class FrozenCheckout:
    """A checkout whose cart carrito froze for the saga: the request, what was frozen, and the faults to inject."""

    saga_id: UUID
    request: CheckoutIn
    cart: FrozenCart
    fault: str | None
