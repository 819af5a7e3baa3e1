"""What a saga is about, what is requested of it, its time limits, and named errors."""

from dataclasses import dataclass
from uuid import UUID

from shared.errors import Unavailable


class NoBroker(Unavailable):
    """The broker is not available."""


class BeingLookedAt(Unavailable):
    """The dead letters are being looked at."""


@dataclass(frozen=True)
class Checkout:
    """What a saga is about, as its request says; the event `checkout.initiated` says the rest."""

    saga_id: UUID
    cart_id: UUID
    user_id: str
    payment_method: str


@dataclass(frozen=True)
class Cancellation:
    """A request to compensate sagas: why, by whom, and whether only before the pivot."""

    reason: str
    by: str
    only_before_pivot: bool = False
    trace: str | None = None


@dataclass(frozen=True)
class Resend:
    """A request to send the events of sagas again: why, and by whom."""

    reason: str
    by: str
    trace: str | None = None


@dataclass(frozen=True)
class Limits:
    """Seconds that a saga may go forward before it is turned back, and seconds without an event after which its events
    are sent again, and after which it is stuck."""

    forward_seconds: float
    stuck_seconds: float
    resend_seconds: float

    @property
    def stalled_seconds(self) -> float:
        """Seconds without an event after which the watchdog first looks at a saga."""
        return min(self.stuck_seconds, self.resend_seconds)

    @property
    def first_seconds(self) -> float:
        """Seconds after its beginning when the watchdog first looks at a saga."""
        return min(self.forward_seconds, self.stalled_seconds)
