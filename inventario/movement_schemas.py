"""Response bodies of the movements of stock."""

from pydantic import Field

from inventario.domain import ReservationHistory, ReservationLine
from inventario.movements import Kind, Movement, Place, movements_of
from shared.http.schemas import Money, Time, View
from shared.money import to_decimal


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
