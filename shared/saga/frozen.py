"""What a saga service knows of a checkout when it accepts its saga."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any
from uuid import UUID

from shared.http.client import PeerSilent
from shared.money import to_minor
from shared.saga.views import CheckoutIn

_NOT_CHOSEN = frozenset({"saga_id", "cart_id", "user_id"})  # ids in carrito's answer that are of no step


@dataclass(frozen=True)
class FrozenLine:
    """A quantity of a product."""

    product_id: int
    quantity: int


@dataclass(frozen=True)
class FrozenCart:
    """What carrito froze for the saga. `ids` has the ids that carrito chose for the steps' objects, by name.

    It is empty for a cart that was frozen by a version that chose none.
    """

    saga_id: UUID
    lines: tuple[FrozenLine, ...]
    total_minor: int
    ids: Mapping[str, UUID]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "FrozenCart":
        """Parse carrito's answer; raises `PeerSilent` for one that is no frozen cart."""
        chosen = {name for name in body if name.endswith("_id")} - _NOT_CHOSEN
        try:
            return cls(
                saga_id=UUID(body["saga_id"]),
                lines=tuple(FrozenLine(index(each["product_id"]), index(each["quantity"])) for each in body["items"]),
                total_minor=to_minor(body["total"]),
                ids={name: UUID(body[name]) for name in chosen if body[name] is not None},
            )
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise PeerSilent("carrito: the answer is no frozen cart", service="carrito") from error


@dataclass(frozen=True)
class FrozenCheckout:
    """A checkout whose cart carrito froze for the saga: the request, what was frozen, and the faults to inject."""

    request: CheckoutIn
    cart: FrozenCart
    fault: str | None

    @property
    def saga_id(self) -> UUID:
        """The saga, as carrito named it."""
        return self.cart.saga_id
