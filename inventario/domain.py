"""What inventario promises about stock: states, rules and named errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from shared.errors import Conflict, NotFound, Refusal

RESERVE = "reserve_inventory"


class ReservationStatus(StrEnum):
    """held -> committed | released | expired; committed -> released (the sale is undone, stock comes back)."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


class ProductNotFound(NotFound):
    """No such product."""


class ReservationNotFound(NotFound):
    """No such reservation."""


class SkuTaken(Conflict):
    """Another product has this sku."""


class ReservationNotHeld(Conflict):
    """The reservation is no longer held."""


class ReservedOtherwise(Conflict):
    """The saga reserved something else before."""


class InsufficientStock(Refusal):
    """Not enough stock."""


@dataclass(frozen=True)
class Line:
    """So many of one product."""

    product_id: int
    quantity: int


@dataclass(frozen=True)
class NewProduct:
    """A product to be; price in minor units."""

    name: str
    description: str
    price_minor: int
    quantity: int
    category: str
    sku: str


def merged(lines: Iterable[Line]) -> dict[int, int]:
    """Wanted quantity by product, in the order in which rows are locked: by product id."""
    wanted: dict[int, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return dict(sorted(wanted.items()))


def check_products(wanted: Mapping[int, int], available: Mapping[int, int]) -> None:
    """Raise `ProductNotFound` for the first wanted product that there isn't."""
    for product_id in wanted:
        if product_id not in available:
            raise ProductNotFound(f"there is no product {product_id}", product_id=product_id)


def shortage(wanted: Mapping[int, int], available: Mapping[int, int]) -> InsufficientStock | None:
    """The refusal for the first product of which more is wanted than there is, if any."""
    for product_id, quantity in wanted.items():
        if available[product_id] < quantity:
            return InsufficientStock(
                f"product {product_id}: {quantity} wanted, {available[product_id]} available",
                product_id=product_id,
                wanted=quantity,
                available=available[product_id],
            )
    return None


def check_same(saga_id: UUID, wanted: Mapping[int, int], held: Mapping[int, int]) -> None:
    """Raise `ReservedOtherwise` unless what is asked for again is what was asked for before."""
    if wanted != held:
        raise ReservedOtherwise(f"saga {saga_id} reserved other products or quantities", saga_id=saga_id)


def not_held(saga_id: UUID, status: str) -> ReservationNotHeld:
    """The error for a reservation that went another way."""
    return ReservationNotHeld(f"the reservation of saga {saga_id} is {status}", saga_id=saga_id, reservation=status)
