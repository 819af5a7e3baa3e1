"""The SQL statements that read reservations, and that lock expired holds."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from sqlalchemy import Connection

from inventario.domain import Reservation, ReservationHistory, ReservationLine, ReservationStatus
from shared.database.connections import Row
from shared.database.prepared import prepared

_OF_CART = prepared("""
    SELECT saga_id, cart_id, status, expires_at, product_id, quantity, unit_price_minor
    FROM reservations JOIN reservation_lines USING (saga_id)
    WHERE cart_id = :cart_id ORDER BY created_at, saga_id, product_id
""")
_HISTORY = prepared("""
    SELECT saga_id, cart_id, status, expires_at, created_at, committed_at, returned_at, product_id, quantity,
        unit_price_minor
    FROM reservations JOIN reservation_lines USING (saga_id)
    WHERE saga_id = :saga_id ORDER BY product_id
""")
_LOCK_OVERDUE = prepared("""
    SELECT saga_id FROM reservations WHERE status = 'held' AND expires_at <= now()
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_NEXT_EXPIRY = prepared("SELECT extract(epoch FROM min(expires_at) - now()) FROM reservations WHERE status = 'held'")


def from_rows(rows: Iterable[Row]) -> list[Reservation]:
    """Make reservations of rows of lines; the lines of a reservation are adjacent."""
    return [_reservation(list(lines)) for _, lines in groupby(rows, itemgetter("saga_id"))]


def of_cart(connection: Connection, cart_id: UUID) -> list[Reservation]:
    """Return all reservations that a cart ever had, oldest first."""
    return from_rows(connection.execute(_OF_CART, {"cart_id": cart_id}).mappings())


def history(connection: Connection, saga_id: UUID) -> ReservationHistory | None:
    """Return a saga's reservation with the times of its transitions; None if it reserved nothing."""
    rows = connection.execute(_HISTORY, {"saga_id": saga_id}).mappings().all()
    if not rows:
        return None
    times = {name: rows[0][name] for name in ("created_at", "committed_at", "returned_at")}
    return ReservationHistory(_reservation(rows), **times)


def lock_overdue(connection: Connection, limit: int) -> list[UUID]:
    """Lock up to `limit` holds whose time is over, except those locked by others; return their sagas."""
    return list(connection.scalars(_LOCK_OVERDUE, {"limit": limit}))


def seconds_to_next_expiry(connection: Connection) -> float | None:
    """Return the seconds until the next hold expires, negative if it should have; None when nothing is held."""
    seconds = connection.scalar(_NEXT_EXPIRY)
    return None if seconds is None else float(seconds)


def _reservation(rows: Sequence[Row]) -> Reservation:
    lines = [ReservationLine(row["product_id"], row["quantity"], row["unit_price_minor"]) for row in rows]
    status = ReservationStatus(rows[0]["status"])
    return Reservation(rows[0]["saga_id"], rows[0]["cart_id"], status, rows[0]["expires_at"], lines)
