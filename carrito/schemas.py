"""Request and response bodies of carts."""

from uuid import UUID

from carrito.domain import Cart, CartStatus, total_minor
from shared.http.openapi import problem
from shared.http.schemas import Body, Money, ProductId, Quantity, UserId, View
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
