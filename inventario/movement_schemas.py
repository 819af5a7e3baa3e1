"""Response bodies of the movements of stock."""

from pydantic import Field

from inventario.domain import ReservationHistory, ReservationLine
from inventario.movements import Kind, Movement, Place, movements_of
from shared.http.schemas import Money, Time, View
from shared.money import to_decimal


class MovementOut(View):
    """So many of one product, moved from one shelf to another; the price was frozen when it was reserved."""

    kind: Kind
    product_id: int
    quantity: int
    unit_price: Money
    from_shelf: Place | None = Field(description="null when an older version did not keep whether it had been sold")
    to_shelf: Place
    moved_at: Time | None = Field(description="null when an older version did not keep it")

    @classmethod
    def of(cls, movement: Movement, line: ReservationLine) -> "MovementOut":
        """The view of one line that moved."""
        price = to_decimal(line.unit_price_minor)
        return cls(**vars(movement), **vars(line), unit_price=price, moved_at=movement.at)


class MovementsOut(View):
    """The movements of a saga's stock, oldest first, and of one moment in the order of products."""

    items: list[MovementOut]

    @classmethod
    def of(cls, history: ReservationHistory | None) -> "MovementsOut":
        """The view of a reservation's movements; nothing for a saga that reserved nothing."""
        if history is None:
            return cls(items=[])
        lines = history.reservation.lines
        return cls(items=[MovementOut.of(each, line) for each in movements_of(history) for line in lines])
