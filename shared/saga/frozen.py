"""What a saga service knows of a checkout when it accepts its saga."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, StrictInt, model_validator

from shared.http.schemas import Address
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

    It is empty for a cart that was frozen by a version that chose none; one that told no currency had the shop's.
    """

    saga_id: UUID
    lines: tuple[FrozenLine, ...]
    total_minor: int
    currency: str | None
    ids: Mapping[str, UUID]


class _Line(BaseModel):
    product_id: StrictInt
    quantity: StrictInt


class FrozenCartAnswer(BaseModel):
    """What a saga service reads of carrito's answer."""

    saga_id: UUID
    items: list[_Line]
    total: Annotated[int, BeforeValidator(to_minor)]
    currency: str | None = None
    ids: dict[str, UUID]

    @model_validator(mode="before")
    @classmethod
    def _gather_ids(cls, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the ids that carrito chose under `ids`: their names are those of the steps' objects."""
        chosen = {name for name in body if name.endswith("_id")} - _NOT_CHOSEN
        return {**body, "ids": {name: body[name] for name in chosen if body[name] is not None}}

    @property
    def cart(self) -> FrozenCart:
        """The frozen cart."""
        lines = tuple(FrozenLine(each.product_id, each.quantity) for each in self.items)
        return FrozenCart(self.saga_id, lines, self.total, self.currency, self.ids)


class BegunCheckoutAnswer(FrozenCartAnswer):
    """What a saga service reads of carrito's answer about a checkout; style and method are null for an order alone."""

    cart_id: UUID
    user_id: str
    saga_pattern: str | None
    payment_method: str | None
    billing_address: Address | None

    @property
    def request(self) -> CheckoutIn:
        """The user's request, as a handover has it."""
        return CheckoutIn(**{name: getattr(self, name) for name in CheckoutIn.model_fields})


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
