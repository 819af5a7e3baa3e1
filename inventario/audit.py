"""inventario's part of the audit: totals that balance in every snapshot, and its facts of each saga."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Integer, cast, func, or_, select

from inventario.models import audit_log, outbox, products, reservations
from shared.auditing.endpoint import Audit, facts_statement

SHOWN = 20  # broken products at most; enough to begin a search
SHELVES = ("available", "held", "sold", "seeded", "restocked")
_SAGA_IDS = "SELECT saga_id FROM reservations WHERE saga_id > :after ORDER BY saga_id LIMIT :limit"
# A line is product, quantity and unit price in minor units; lines are in the order of products.
_FACTS = """
    SELECT reservations.saga_id, status, (
        SELECT json_agg(json_build_array(product_id, quantity, unit_price_minor) ORDER BY product_id)
        FROM reservation_lines AS lines WHERE lines.saga_id = reservations.saga_id
    ) AS lines
    FROM reservations WHERE saga_id = ANY (:ids)
"""


def books(connection: Connection) -> Mapping[str, Any]:
    """Return stock by shelf, reservations by status, overdue holds, and the products that do not add up."""
    totals = audit_log.totals(connection)
    sums = connection.execute(select(*[_sum(products.c[shelf]).label(shelf) for shelf in SHELVES])).mappings().one()
    overdue = (reservations.c.status == "held") & (reservations.c.expires_at < func.now())
    latest = func.max(func.extract("epoch", func.now() - reservations.c.expires_at))
    return {
        "stock": dict(sums),
        "broken_products": _broken_products(connection, totals["held_lines"], totals["committed_lines"])[:SHOWN],
        "reservations": totals["reservations"],
        "overdue_holds": connection.scalar(select(func.count()).where(overdue)),
        "oldest_hold_overdue_seconds": connection.scalar(
            select(cast(func.coalesce(latest, 0), Integer)).where(overdue)
        ),
        "committed_minor": totals["committed_minor"].get("", 0),
        "outbox": outbox.waiting(connection),
        "oldest_unpublished_seconds": outbox.oldest_seconds(connection),
    }


def _broken_products(connection: Connection, held: Mapping[str, int], sold: Mapping[str, int]) -> list[int]:
    """The products that do not add up, or whose held or sold quantity differs from that of their reservations."""
    shelves = products.c
    unbalanced = or_(
        shelves.available + shelves.held + shelves.sold != shelves.seeded + shelves.restocked,
        shelves.available < 0,
        shelves.held < 0,
        shelves.sold < 0,
    )
    statement = select(shelves.id, shelves.held, shelves.sold, unbalanced.label("unbalanced"))
    said = {row.id: row for row in connection.execute(statement)}
    counted = {each: (held.get(str(each), 0), sold.get(str(each), 0)) for each in said}
    broken = {each for each, row in said.items() if row.unbalanced or (row.held, row.sold) != counted[each]}
    return sorted(broken | {int(key) for key in held.keys() | sold.keys()} - said.keys())


def _sum(column: Any) -> Any:
    return cast(func.coalesce(func.sum(column), 0), products.c.price_minor.type)


audit = Audit(audit_log, books, _SAGA_IDS, facts_statement(_FACTS))
