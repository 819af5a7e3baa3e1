"""The rules of stock: states, transitions, movements and named errors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Literal
from uuid import UUID

from shared.errors import Conflict, DomainError, NotFound, Refusal
from shared.saga.repetition import NamedFields

RESERVE = "reserve_inventory"
SELL = "commit_inventory"


class ReservationStatus(StrEnum):
    """held -> committed | released | expired; committed -> released (the sale is compensated, the stock returns).

    expired -> released, by a commit that comes too late or by the arbiter: the saga turns back.
    """

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Transition:
    """What a reservation becomes, by its present status; a status that is not named stays.

    `order_id` is the order that it is sold for, if that is known. `keeps_orders`: a sale for an order stays.
    """

    becomes: Mapping[ReservationStatus, ReservationStatus]
    order_id: UUID | None = None
    keeps_orders: bool = False


_HELD, _COMMITTED, _EXPIRED = ReservationStatus.HELD, ReservationStatus.COMMITTED, ReservationStatus.EXPIRED
_RELEASED = ReservationStatus.RELEASED
STAY = Transition({})
COMMIT = Transition({_HELD: _COMMITTED, _EXPIRED: _RELEASED})
RELEASE_HELD = Transition({_HELD: _RELEASED})
RELEASE = Transition({_HELD: _RELEASED, _COMMITTED: _RELEASED})
EXPIRE = Transition({_HELD: _EXPIRED})
TURN_BACK_SOLD = Transition({_HELD: _RELEASED, _EXPIRED: _RELEASED, _COMMITTED: _RELEASED})
TURN_BACK = replace(TURN_BACK_SOLD, keeps_orders=True)
LIVE = {_HELD, _COMMITTED}


class ProductNotFound(NotFound):
    """No such product."""


class ReservationNotFound(NotFound):
    """No such reservation."""


class SkuTaken(Conflict):
    """Another product has this sku."""


class ReservationNotHeld(Conflict):
    """The reservation is no longer held."""


class CheckoutCancelled(Conflict):
    """The checkout was cancelled before anything was reserved."""


class InsufficientStock(Refusal):
    """Not enough stock."""


@dataclass(frozen=True)
class Line:
    """A quantity of one product."""

    product_id: int
    quantity: int


@dataclass(frozen=True)
class NewProduct:
    """A request for a new product; price in minor units."""

    name: str
    description: str
    price_minor: int
    quantity: int
    category: str
    sku: str


@dataclass(frozen=True)
class Product:
    """A product with its stock; price in minor units."""

    id: int
    sku: str
    name: str
    description: str
    category: str
    price_minor: int
    available: int
    held: int
    sold: int
    seeded: int
    restocked: int


@dataclass(frozen=True)
class ReservationLine:
    """A reserved quantity of one product; its price, in minor units, is that of the reservation's time."""

    product_id: int
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True)
class Reservation:
    """A saga's reservation, with its lines in the order of products. A released one may have no lines."""

    saga_id: UUID
    cart_id: UUID | None
    status: ReservationStatus
    expires_at: datetime | None
    lines: Sequence[ReservationLine]


@dataclass(frozen=True)
class ReservationHistory:
    """A reservation, and when it was made, sold and returned; None for what did not happen."""

    reservation: Reservation
    created_at: datetime
    committed_at: datetime | None
    returned_at: datetime | None


@dataclass(frozen=True)
class Reserve:
    """A request to hold stock: the quantity of each product, in the order of product ids.

    `bill` has what else a choreographed saga's request says: who pays, how and how much, and ids that carrito chose.
    """

    saga_id: UUID
    cart_id: UUID
    wanted: Mapping[int, int]
    bill: NamedFields = field(default_factory=dict)

    @property
    def named(self) -> NamedFields:
        """The fields in which a repeated request, and the sale, must be the same."""
        return {**self.bill, "cart_id": self.cart_id, "items": self.wanted}


@dataclass(frozen=True)
class Unreserve:
    """A request to return whatever a saga holds or bought; `cart_id` is told of when that is nothing."""

    saga_id: UUID
    cart_id: UUID | None = None

    @property
    def named(self) -> NamedFields:
        """No fields: a compensation is for its saga, also if somebody else requested the step, and otherwise."""
        return {}


@dataclass(frozen=True)
class Sell:
    """A request to sell what a saga reserved; what it names must be as it was reserved.

    A choreographed saga sells for the order that was made; this sale is its pivot.
    """

    saga_id: UUID
    cart_id: UUID | None = None
    wanted: Mapping[int, int] | None = None
    order_id: UUID | None = None
    payment_id: UUID | None = None

    @property
    def named(self) -> NamedFields:
        """The fields in which a repeated request must be the same."""
        ids = {"cart_id": self.cart_id, "order_id": self.order_id, "payment_id": self.payment_id}
        return {**ids, "items": self.wanted}


@dataclass(frozen=True)
class Cancel:
    """A request to turn a saga back; `only_before_pivot`, as after a deadline, a sale for an order stands."""

    saga_id: UUID
    only_before_pivot: bool


class Ruling(Enum):
    """What the arbiter decided about a `Cancel`."""

    RESERVE_REFUSED = "nothing was reserved, and a reserve is refused from now on"
    TURNED_BACK = "nothing is held or sold any longer; the saga's other steps must be compensated"
    STANDS = "the stock is sold for the saga's order, and only a deadline passed"


def merged(lines: Iterable[Line]) -> dict[int, int]:
    """Return the wanted quantity of each product, in the order in which rows are locked: by product id."""
    wanted: dict[int, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return dict(sorted(wanted.items()))


def allocate(requests: Iterable[Reserve], available: Mapping[int, int]) -> dict[UUID, DomainError]:
    """Return the refusals by saga. In their order, each request takes all its lines from what is left, or none."""
    left = dict(available)
    refused: dict[UUID, DomainError] = {}
    for reserve in requests:
        refusal = _refusal(reserve.wanted, left)
        if refusal is not None:
            refused[reserve.saga_id] = refusal
            continue
        for product_id, quantity in reserve.wanted.items():
            left[product_id] -= quantity
    return refused


def _refusal(wanted: Mapping[int, int], available: Mapping[int, int]) -> DomainError | None:
    """Return the first missing product, or else the first shortage; None if everything is available."""
    for product_id in wanted:
        if product_id not in available:
            return no_product(product_id)
    for product_id, quantity in wanted.items():
        if available[product_id] < quantity:
            return InsufficientStock(
                f"product {product_id}: {quantity} wanted, {available[product_id]} available",
                product_id=product_id,
                wanted=quantity,
                available=available[product_id],
            )
    return None


def no_product(product_id: int) -> ProductNotFound:
    """Make the error for a product that does not exist."""
    return ProductNotFound(f"there is no product {product_id}", product_id=product_id)


def cancelled(saga_id: UUID) -> CheckoutCancelled:
    """Make the refusal of a reserve that comes after its saga was cancelled."""
    return CheckoutCancelled(f"saga {saga_id} was cancelled before it reserved anything", saga_id=saga_id)


def not_held(saga_id: UUID, status: str) -> ReservationNotHeld:
    """Make the refusal for a reservation that is not held."""
    return ReservationNotHeld(f"the reservation of saga {saga_id} is {status}", saga_id=saga_id, reservation=status)


Kind = Literal["reserve", "commit", "release"]
Place = Literal["available", "held", "sold"]  # the shelves, as `ProductOut` names them


@dataclass(frozen=True)
class Movement:
    """A movement of all lines of a reservation.

    `at` is None when an older version did not keep the time; `from_shelf` is None when it did not keep, either, whether
    the returned stock had been sold or held.
    """

    kind: Kind
    from_shelf: Place | None
    to_shelf: Place
    at: datetime | None


def movements_of(history: ReservationHistory) -> list[Movement]:
    """Return the movements of a reservation, oldest first."""
    status, committed_at, returned_at = history.reservation.status, history.committed_at, history.returned_at
    found = [Movement("reserve", "available", "held", history.created_at)]
    if status is ReservationStatus.COMMITTED or committed_at is not None:
        found.append(Movement("commit", "held", "sold", committed_at))
    if status in {ReservationStatus.RELEASED, ReservationStatus.EXPIRED}:
        came_from: Place | None = "sold" if committed_at else "held"
        found.append(Movement("release", None if returned_at is None else came_from, "available", returned_at))
    return found
