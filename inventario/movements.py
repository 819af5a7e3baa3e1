"""The stock movements of a saga, derived from the times of its reservation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from inventario.domain import ReservationHistory, ReservationStatus

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
