"""What stock a saga moved between shelves, as its reservation tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, select

from inventario.domain import ReservationStatus
from inventario.models import reservation_lines, reservations
from shared.database.connections import Row

Kind = Literal["reserve", "commit", "release"]
Place = Literal["available", "held", "sold"]  # the shelves, as `ProductOut` names them


@dataclass(frozen=True)
class Movement:
    """All lines of a reservation moving at once.

    `at` is None when it happened before times were kept; `from_shelf` is None when it was not kept either whether what
    came back had been sold or only held.
    """

    kind: Kind
    from_shelf: Place | None
    to_shelf: Place
    at: datetime | None


def lines_of_saga(connection: Connection, saga_id: UUID) -> Sequence[Row]:
    """The lines of a saga's reservation in the order of products, each with what they have in common."""
    lines = reservation_lines.c
    statement = (
        select(reservations, lines.product_id, lines.quantity, lines.unit_price_minor)
        .join(reservation_lines)
        .where(reservations.c.saga_id == saga_id)
        .order_by(lines.product_id)
    )
    return connection.execute(statement).mappings().all()


def movements_of(reservation: Mapping[Any, Any]) -> list[Movement]:
    """What a reservation moved, oldest first."""
    status, committed_at, returned_at = (reservation[name] for name in ("status", "committed_at", "returned_at"))
    found = [Movement("reserve", "available", "held", reservation["created_at"])]
    if status == ReservationStatus.COMMITTED or committed_at is not None:
        found.append(Movement("commit", "held", "sold", committed_at))
    if status in {ReservationStatus.RELEASED, ReservationStatus.EXPIRED}:
        came_from: Place | None = "sold" if committed_at else "held"
        found.append(Movement("release", None if returned_at is None else came_from, "available", returned_at))
    return found
