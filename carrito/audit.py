"""carrito's part of the audit: its totals, and its facts of each saga."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Integer, cast, func, select

from carrito.models import audit_log, checkouts, outbox
from shared.auditing.endpoint import Audit, facts_statement

_SAGA_IDS = """
    SELECT saga_id FROM (
        (SELECT saga_id FROM orders WHERE saga_id > :after ORDER BY saga_id LIMIT :limit)
        UNION (SELECT saga_id FROM carts WHERE saga_id > :after ORDER BY saga_id LIMIT :limit)
        UNION (SELECT saga_id FROM checkouts WHERE saga_id > :after ORDER BY saga_id LIMIT :limit)
    ) AS known ORDER BY saga_id LIMIT :limit
"""
# A line is product, quantity and unit price in minor units; lines are in the order of products.
_FACTS = """
    SELECT known.saga_id, orders.status, orders.total_minor, orders.currency, carts.status AS cart,
        checkouts.saga_pattern,
        orders.items = checkouts.items AND orders.total_minor = checkouts.total_minor AS as_frozen,
        (SELECT json_agg(json_build_array(
            CAST(line ->> 'product_id' AS bigint), CAST(line ->> 'quantity' AS bigint),
            CAST(round(CAST(line ->> 'unit_price' AS numeric) * 100) AS bigint)
        ) ORDER BY CAST(line ->> 'product_id' AS bigint)) FROM json_array_elements(CAST(orders.items AS json)) AS line
        ) AS lines
    FROM unnest(:ids) AS known (saga_id)
    LEFT JOIN orders ON orders.saga_id = known.saga_id
    LEFT JOIN carts ON carts.saga_id = known.saga_id
    LEFT JOIN checkouts ON checkouts.saga_id = known.saga_id
    WHERE orders.saga_id IS NOT NULL OR carts.saga_id IS NOT NULL OR checkouts.saga_id IS NOT NULL
"""


def books(connection: Connection) -> Mapping[str, Any]:
    """Return carts and orders by status, confirmed totals by currency, and how many checkouts await their handover."""
    totals = audit_log.totals(connection)
    late = func.extract("epoch", func.now() - func.min(checkouts.c.handover_due_at))
    overdue = select(cast(func.greatest(0, func.coalesce(late, 0)), Integer)).where(
        checkouts.c.handover_due_at.is_not(None)
    )
    awaited = select(func.count()).where(checkouts.c.handover_due_at.is_not(None))
    return {
        "carts": totals["carts"],
        "orders": totals["orders"],
        "confirmed_minor": totals["confirmed_minor"],
        "awaited_handovers": connection.scalar(awaited),
        "oldest_handover_overdue_seconds": connection.scalar(overdue),
        "outbox": outbox.waiting(connection),
        "oldest_unpublished_seconds": outbox.oldest_seconds(connection),
    }


audit = Audit(audit_log, books, _SAGA_IDS, facts_statement(_FACTS))
