"""Request and response bodies of inventario."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from inventario.domain import (
    Kind,
    Line,
    Movement,
    NewProduct,
    Place,
    Product,
    Reservation,
    ReservationHistory,
    ReservationLine,
    ReservationStatus,
    Reserve,
    Sell,
    merged,
    movements_of,
)
from shared.http.schemas import (
    MAX_PRODUCT_ID,
    STORABLE,
    Amount,
    Body,
    Money,
    OneLine,
    ProductId,
    Quantity,
    Stock,
    Time,
    View,
)
from shared.money import to_decimal


class ProductIn(Body):
    """A new product."""

    name: OneLine = Field(examples=["Tea"])
    description: Annotated[str, Field(max_length=2000), STORABLE] = ""
    price: Amount
    quantity: Stock = Field(description="the first stock")
    category: Annotated[str, Field(max_length=200), STORABLE] = ""
    sku: Annotated[str, Field(min_length=1, max_length=64, examples=["tea-1"]), STORABLE]

    def command(self) -> NewProduct:
        """The request as a value of the domain."""
        return NewProduct(self.name, self.description, self.price, self.quantity, self.category, self.sku)


class RestockIn(Body):
    """The quantity to add."""

    quantity: Quantity


class LineIn(Body):
    """A quantity of one product."""

    product_id: ProductId
    quantity: Quantity


class ReserveIn(Body):
    """The lines to hold; without `saga_id` the cart's id is used."""

    saga_id: UUID | None = None
    cart_id: UUID
    items: list[LineIn] = Field(min_length=1, max_length=100)

    @property
    def saga(self) -> UUID:
        """The saga of the reservation."""
        return self.saga_id or self.cart_id

    def command(self) -> Reserve:
        """The request as a value of the domain."""
        return Reserve(self.saga, self.cart_id, merged(Line(item.product_id, item.quantity) for item in self.items))


class ReservationIn(Body):
    """The reservation; without `saga_id` the cart's id is used, without `items` the reserved ones."""

    saga_id: UUID | None = None
    cart_id: UUID
    items: list[LineIn] | None = Field(default=None, max_length=100)

    @property
    def saga(self) -> UUID:
        """The saga of the reservation."""
        return self.saga_id or self.cart_id

    def command(self) -> Sell:
        """The request as a value of the domain."""
        wanted = self.items and merged(Line(item.product_id, item.quantity) for item in self.items)
        return Sell(self.saga, self.cart_id, wanted or None)


class ProductPath(Body):
    """A product."""

    product_id: ProductId


class CartPath(Body):
    """A cart."""

    cart_id: UUID


class SagaPath(Body):
    """A saga."""

    saga_id: UUID


class PageQuery(Body):
    """A page of a list."""

    after: int = Field(default=0, ge=0, le=MAX_PRODUCT_ID, description="`next_after` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class ProductOut(View):
    """A product with its stock."""

    id: int
    name: str
    description: str
    price: Money
    category: str
    sku: str
    quantity: int = Field(description="the same as `available`")
    available: int
    held: int
    sold: int

    @classmethod
    def of(cls, product: Product) -> "ProductOut":
        """Make the view of a product."""
        return cls(**vars(product), price=to_decimal(product.price_minor), quantity=product.available)


class ProductsOut(View):
    """A page of products; `next_after` is null on the last page."""

    items: list[ProductOut]
    next_after: int | None


class ReservationLineOut(View):
    """A line of a reservation; the price is that of the reservation's time."""

    saga_id: UUID
    product_id: int
    quantity: int
    unit_price: Money
    status: str
    expires_at: Time


class ReservationOut(View):
    """A saga's reservation; `expires_at` is null when nothing is held."""

    saga_id: UUID
    cart_id: UUID
    status: str
    expires_at: Time | None
    reservations: list[ReservationLineOut]

    @classmethod
    def of(cls, reservation: Reservation) -> "ReservationOut":
        """Make the view of a reservation."""
        return cls(
            saga_id=reservation.saga_id,
            cart_id=reservation.cart_id,
            status=reservation.status,
            expires_at=reservation.expires_at if reservation.status is ReservationStatus.HELD else None,
            reservations=lines_of(reservation),
        )


class ReservationsOut(View):
    """The lines of all reservations of a cart, oldest first."""

    items: list[ReservationLineOut]


def lines_of(reservation: Reservation) -> list[ReservationLineOut]:
    """Make the views of a reservation's lines."""
    common = {name: getattr(reservation, name) for name in ("saga_id", "status", "expires_at")}
    return [
        ReservationLineOut(**common, **vars(line), unit_price=to_decimal(line.unit_price_minor))
        for line in reservation.lines
    ]


class MovementOut(View):
    """A quantity of one product, moved from one shelf to another; the price is that of the reservation's time."""

    kind: Kind
    product_id: int
    quantity: int
    unit_price: Money
    from_shelf: Place | None = Field(description="null when an older version did not keep whether it had been sold")
    to_shelf: Place
    moved_at: Time | None = Field(description="null when an older version did not keep it")

    @classmethod
    def of(cls, movement: Movement, line: ReservationLine) -> "MovementOut":
        """Make the view of one line of a movement."""
        price = to_decimal(line.unit_price_minor)
        return cls(**vars(movement), **vars(line), unit_price=price, moved_at=movement.at)


class MovementsOut(View):
    """The stock movements of a saga, oldest first; those of one moment in the order of products."""

    items: list[MovementOut]

    @classmethod
    def of(cls, history: ReservationHistory | None) -> "MovementsOut":
        """Make the view of a reservation's movements; empty for a saga that reserved nothing."""
        if history is None:
            return cls(items=[])
        lines = history.reservation.lines
        return cls(items=[MovementOut.of(each, line) for each in movements_of(history) for line in lines])
