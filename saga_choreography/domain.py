"""What the choreography promises about sagas: what one is about, and named errors."""

from dataclasses import dataclass
from uuid import UUID

from shared.errors import Unavailable


class NoBroker(Unavailable):
    """The broker is not available."""


class BeingLookedAt(Unavailable):
    """The dead letters are being looked at."""


@dataclass(frozen=True)
class Checkout:
    """What a saga is about. Everything else is carrito's to know and to tell, in `checkout.initiated`."""

    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_method: str


@dataclass(frozen=True)
class Cancellation:
    """Why sagas are to be undone, who says so, and whether a sale is undone for it."""

    reason: str
    by: str
    only_before_pivot: bool = False
    trace: str | None = None


@dataclass(frozen=True)
class Resend:
    """Why the events of sagas are to be sent again, and who says so."""

    reason: str
    by: str
    trace: str | None = None


@dataclass(frozen=True)
class Limits:
    """How long a saga may go forward before it is turned back; how long it may stand still before its events are sent
    again, and before it is called stuck."""

    forward_seconds: float
    stuck_seconds: float
    resend_seconds: float

    @property
    def still_seconds(self) -> float:
        """When a saga that stands still is first looked at."""
        return min(self.stuck_seconds, self.resend_seconds)

    @property
    def first_seconds(self) -> float:
        """When a new saga is first looked at, unless it has ended by then."""
        return min(self.forward_seconds, self.still_seconds)
