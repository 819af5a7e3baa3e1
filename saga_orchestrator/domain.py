"""What the orchestrator promises about sagas: what one is about, and named errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.errors import Conflict, NotFound, Unavailable


class SagaNotFound(NotFound):
    """No such saga."""


class SagaEnded(Conflict):
    """The saga has ended."""


class CartRefused(Conflict):
    """The cart cannot be checked out."""


class LeaseLost(Exception):
    """Another executor has the saga now, or a person turned it back: stop, and write nothing."""


class ParticipantUnavailable(Unavailable):
    """A service that is needed to begin is not available."""


@dataclass(frozen=True)
class Checkout:
    """What a saga is about. Ids of payment and order are chosen before they are asked for, so that one in
    doubt can be undone; `items` and `total_minor` are carrito's, frozen when the checkout began, and unknown
    (None) until its answer is here.
    """

    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_method: str
    billing_address: str | Mapping[str, str]
    payment_id: UUID
    order_id: UUID
    items: tuple[Mapping[str, Any], ...] | None = None
    total_minor: int | None = None
