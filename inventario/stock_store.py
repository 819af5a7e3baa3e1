"""The SQL statements that move stock, each for many sagas. Counts change by increments.

Rows are locked in one order: reservations by saga, then products by id. A product's row is updated last, since other
sagas wait for it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from inventario import reservation_store
from inventario.domain import Reservation, ReservationLine, ReservationStatus, Reserve, Transition
from shared.database.connections import Row
from shared.database.prepared import prepared

_LOCK = prepared("""
SELECT id, available, price_minor FROM products WHERE id = ANY(CAST(:ids AS integer[])) ORDER BY id FOR NO KEY UPDATE
""")

# Both inserts and the update of the products in one statement; it returns when the holds expire.
_HOLD = prepared("""
WITH requested AS (
    SELECT * FROM unnest(CAST(:saga_id AS uuid[]), CAST(:cart_id AS uuid[]), CAST(:product_id AS integer[]),
                         CAST(:quantity AS bigint[]), CAST(:unit_price_minor AS bigint[]))
    AS line (saga_id, cart_id, product_id, quantity, unit_price_minor)
), made AS (
    INSERT INTO reservations (saga_id, cart_id, expires_at)
    SELECT DISTINCT saga_id, cart_id, now() + make_interval(secs => CAST(:hold_seconds AS double precision))
    FROM requested
    RETURNING expires_at
), lines AS (
    INSERT INTO reservation_lines (saga_id, product_id, quantity, unit_price_minor)
    SELECT saga_id, product_id, quantity, unit_price_minor FROM requested
), taken AS (
    UPDATE products SET available = available - total.quantity, held = held + total.quantity
    FROM (SELECT product_id, sum(quantity) AS quantity FROM requested GROUP BY product_id) AS total
    WHERE products.id = total.product_id
)
SELECT max(expires_at) FROM made
""")

# Each reservation gets the status that its saga's transition names for its present one. `before` is its status when the
# row was locked; it decides the transition. A sale notes its order, also one that was made before without an order.
_CHANGE = prepared("""
WITH found AS (
    SELECT reservations.saga_id, cart_id, expires_at, status AS before,
           coalesce(CASE WHEN status = 'held' THEN held
                         WHEN status = 'expired' THEN expired
                         WHEN status = 'committed' AND NOT (keeps_orders AND reservations.order_id IS NOT NULL)
                         THEN committed END, status) AS status,
           coalesce(reservations.order_id, transitions.order_id) AS order_id
    FROM reservations
    JOIN unnest(CAST(:saga_id AS uuid[]), CAST(:held AS text[]), CAST(:committed AS text[]), CAST(:expired AS text[]),
                CAST(:order_id AS uuid[]), CAST(:keeps_orders AS boolean[]))
      AS transitions (saga_id, held, committed, expired, order_id, keeps_orders)
      ON reservations.saga_id = transitions.saga_id
    ORDER BY reservations.saga_id
    FOR NO KEY UPDATE OF reservations
), changed AS (
    UPDATE reservations SET status = found.status,
        order_id = CASE found.status WHEN 'committed' THEN found.order_id ELSE reservations.order_id END,
        committed_at = CASE WHEN found.status = 'committed' AND found.before <> 'committed' THEN now()
            ELSE reservations.committed_at END,
        returned_at = CASE WHEN found.status = 'committed' OR found.before = 'expired'
            OR (found.before = 'committed' AND reservations.committed_at IS NULL) THEN reservations.returned_at
            ELSE now() END
    FROM found
    WHERE reservations.saga_id = found.saga_id AND (found.status <> found.before
        OR found.status = 'committed' AND reservations.order_id IS DISTINCT FROM found.order_id)
)
SELECT saga_id, cart_id, expires_at, before, status, order_id, product_id, quantity, unit_price_minor
FROM found JOIN reservation_lines USING (saga_id)
ORDER BY saga_id, product_id
""")

# This is a statement of its own, because PostgreSQL checks a row's constraints before it looks for a newer version of
# the row: it must not see counts from before the wait for a reservation.
_MOVE = prepared("""
WITH moved AS (
    SELECT id, change.held, change.sold
    FROM products
    JOIN unnest(CAST(:id AS integer[]), CAST(:held AS bigint[]), CAST(:sold AS bigint[])) AS change (id, held, sold)
      USING (id)
    ORDER BY id FOR NO KEY UPDATE OF products
)
UPDATE products
SET held = products.held + moved.held,
    sold = products.sold + moved.sold,
    available = available - moved.held - moved.sold
FROM moved WHERE products.id = moved.id
""")

_STAYS: Mapping[str, Any] = {"held": None, "committed": None, "expired": None}


class Shelf(NamedTuple):
    """A locked product: its available quantity, and its price in minor units."""

    available: int
    price_minor: int


@dataclass(frozen=True)
class ReservationChange:
    """A reservation, its status before the transition, and the order for which a sold one was sold, if it is known."""

    reservation: Reservation
    before: ReservationStatus
    order_id: UUID | None

    @property
    def status(self) -> ReservationStatus:
        """Its status after the transition."""
        return self.reservation.status


def lock_shelves(connection: Connection, product_ids: Iterable[int]) -> dict[int, Shelf]:
    """Lock the products with these ids; return those that exist, by id."""
    rows = connection.execute(_LOCK, {"ids": list(product_ids)})
    return {product_id: Shelf(available, price_minor) for product_id, available, price_minor in rows}


def hold(
    connection: Connection, requests: Sequence[Reserve], shelves: Mapping[int, Shelf], hold_seconds: float
) -> dict[UUID, Reservation]:
    """Insert the reservations of these sagas, whose products are locked and available; return them by saga."""
    if not requests:
        return {}
    lines = {each.saga_id: _lines(each, shelves) for each in requests}
    columns = _columns(
        [
            {"saga_id": each.saga_id, "cart_id": each.cart_id, **vars(line)}
            for each in requests
            for line in lines[each.saga_id]
        ]
    )
    expires_at = connection.scalar(_HOLD, {**columns, "hold_seconds": hold_seconds})
    return {
        each.saga_id: Reservation(each.saga_id, each.cart_id, ReservationStatus.HELD, expires_at, lines[each.saga_id])
        for each in requests
    }


def change(connection: Connection, transitions: Mapping[UUID, Transition]) -> dict[UUID, ReservationChange]:
    """Apply transitions to reservations and move their stock; return all that exist, changed or not, by saga."""
    if not transitions:
        return {}
    columns = _columns(
        [
            {
                "saga_id": saga_id,
                "order_id": each.order_id,
                "keeps_orders": each.keeps_orders,
                **_STAYS,
                **{before.value: after for before, after in each.becomes.items()},
            }
            for saga_id, each in transitions.items()
        ]
    )
    rows = connection.execute(_CHANGE, columns).mappings().all()
    moved = _moved(rows)
    if moved:
        connection.execute(_MOVE, _columns(moved))
    known = {row["saga_id"]: (ReservationStatus(row["before"]), row["order_id"]) for row in rows}
    return {each.saga_id: ReservationChange(each, *known[each.saga_id]) for each in reservation_store.from_rows(rows)}


def _lines(request: Reserve, shelves: Mapping[int, Shelf]) -> list[ReservationLine]:
    """The lines of a new reservation, at present prices."""
    return [
        ReservationLine(product_id, quantity, shelves[product_id].price_minor)
        for product_id, quantity in request.wanted.items()
    ]


def _moved(lines: Sequence[Row]) -> list[dict[str, int]]:
    """The changes of the held and the sold quantity of each product, from the statuses before and after."""
    held, sold = Counter[int](), Counter[int]()
    for line in lines:
        for shelf, status in ((held, ReservationStatus.HELD), (sold, ReservationStatus.COMMITTED)):
            change = (line["status"] == status) - (line["before"] == status)
            shelf[line["product_id"]] += change * line["quantity"]
    return [{"id": each, "held": held[each], "sold": sold[each]} for each in held if held[each] or sold[each]]


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the rows, at least one, as the arrays that a statement takes."""
    return {name: [row[name] for row in rows] for name in rows[0]}
