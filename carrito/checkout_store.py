"""The SQL statements for checkouts. One is inserted when its cart is frozen; what its saga is about never changes.

Ids are passed as arrays, whose length PostgreSQL knows when it plans.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection

from carrito.domain import Cart, CartFreeze, Checkout, CheckoutHandover
from carrito.models import carts, checkouts
from shared.database.listen import notify
from shared.database.prepared import columns_of, prepared
from shared.fault_switches.header import current_fault
from shared.json_codec import dumps
from shared.messaging.outbox import commit_asynchronously

HANDOVER = "handover"  # the channel that wakes the worker

# The carts are open, and locked by an earlier statement, so that their lines do not change meanwhile.
_FREEZE = prepared(f"""
    WITH freezes AS (
        SELECT * FROM unnest(
            CAST(:saga_id AS uuid[]), CAST(:cart_id AS uuid[]), CAST(:saga_pattern AS text[]),
            CAST(:payment_method AS text[]), CAST(:billing_address AS json[]), CAST(:payment_id AS uuid[]),
            CAST(:order_id AS uuid[]), CAST(:trace AS text[]), CAST(:handover_seconds AS double precision[]),
            CAST(:by_saga_service AS boolean[])
        ) AS requested (
            saga_id, cart_id, saga_pattern, payment_method, billing_address, payment_id, order_id, trace,
            handover_seconds, by_saga_service
        )
    ), frozen AS (
        UPDATE carts SET status = 'checking_out', saga_id = freezes.saga_id, idle_since = NULL FROM freezes
        WHERE carts.id = freezes.cart_id AND EXISTS (SELECT FROM cart_items WHERE cart_items.cart_id = freezes.cart_id)
        RETURNING {columns_of(carts)}
    ), begun AS (
        INSERT INTO checkouts (
            saga_id, cart_id, user_id, saga_pattern, payment_method, billing_address, payment_id, order_id, items,
            total_minor, currency, trace, handover_due_at, by_saga_service, fault
        )
        SELECT frozen.saga_id, cart_id, user_id, saga_pattern, payment_method, billing_address, payment_id, order_id,
            lines.items, lines.total_minor, :currency, trace, now() + make_interval(secs => handover_seconds),
            by_saga_service, CAST(:fault AS text)
        FROM frozen JOIN freezes ON freezes.cart_id = frozen.id CROSS JOIN LATERAL (
            SELECT
                CAST(json_agg(json_build_object(
                    'product_id', product_id, 'name', name, 'quantity', quantity,
                    'unit_price', round(unit_price_minor / 100.0, 2)
                ) ORDER BY product_id) AS text) AS items,
                sum(unit_price_minor * quantity) AS total_minor
            FROM cart_items WHERE cart_items.cart_id = frozen.id
        ) AS lines
    )
    SELECT * FROM frozen
""")  # noqa: S608  (our own)
_UNFREEZE = prepared("""
    WITH gone AS (DELETE FROM checkouts WHERE saga_id = ANY(CAST(:saga_ids AS uuid[])) RETURNING saga_id, cart_id)
    UPDATE carts SET status = 'open', saga_id = NULL FROM gone
    WHERE carts.id = gone.cart_id AND carts.saga_id = gone.saga_id
""")
_FIND = prepared(f"SELECT {columns_of(checkouts)} FROM checkouts WHERE saga_id = ANY(CAST(:saga_ids AS uuid[]))")  # noqa: S608  (our own)
_HANDED_OVER = prepared("""
    UPDATE checkouts SET handover_due_at = NULL WHERE saga_id = ANY(CAST(:saga_ids AS uuid[]))
""")
_HAND_OVER_NOW = prepared("UPDATE checkouts SET handover_due_at = now() WHERE saga_id = :saga_id")
_TAKE_OVERDUE = prepared("""
    WITH overdue AS (
        SELECT saga_id FROM checkouts
        WHERE saga_pattern = :style AND by_saga_service = :by_saga_service AND handover_due_at <= now()
        ORDER BY handover_due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE checkouts SET handover_due_at = now() + make_interval(secs => :again_seconds)
    FROM overdue WHERE checkouts.saga_id = overdue.saga_id
    RETURNING checkouts.saga_id, cart_id, user_id, payment_method, billing_address, saga_pattern, trace, fault
""")
_NEXT_OVERDUE = prepared("""
    SELECT extract(epoch FROM min(handover_due_at) - now()) FROM checkouts
    WHERE saga_pattern = :style AND by_saga_service = :by_saga_service
""")


def freeze(connection: Connection, freezes: Sequence[CartFreeze], currency: str) -> dict[UUID, Cart]:
    """Freeze these carts for their sagas and insert their checkouts; return the carts that had lines, by id."""
    if not freezes:
        return {}
    columns = {name: [getattr(each, name) for each in freezes] for name in CartFreeze.__dataclass_fields__}
    columns["billing_address"] = [each.billing_address and dumps(each.billing_address) for each in freezes]
    frozen = connection.execute(_FREEZE, {**columns, "currency": currency, "fault": current_fault()}).mappings()
    return {row["id"]: Cart(**row) for row in frozen}


def unfreeze(connection: Connection, saga_ids: Sequence[UUID]) -> None:
    """Undo what `freeze` did in this transaction, for sagas whose order could not be placed."""
    if saga_ids:
        connection.execute(_UNFREEZE, {"saga_ids": list(saga_ids)})


def find(connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, Checkout]:
    """Return the checkouts of these sagas, by saga; a saga that never froze a cart has none."""
    if not saga_ids:
        return {}
    found = connection.execute(_FIND, {"saga_ids": list(saga_ids)}).mappings()
    return {row["saga_id"]: Checkout(**row) for row in found}


def hand_over_now(connection: Connection, saga_id: UUID) -> None:
    """Have the worker hand the checkout over as soon as this transaction commits."""
    connection.execute(_HAND_OVER_NOW, {"saga_id": saga_id})
    notify(connection, HANDOVER)


def take_overdue(
    connection: Connection, style: str, limit: int, again_seconds: float, *, by_saga_service: bool
) -> list[CheckoutHandover]:
    """Claim overdue checkouts; each is due again in `again_seconds`. Several processes may do so at once.

    `by_saga_service`: those whose cart the saga service had frozen itself; otherwise those that began at carrito.
    """
    values = {"style": style, "by_saga_service": by_saga_service, "limit": limit, "again_seconds": again_seconds}
    return [CheckoutHandover(**row) for row in connection.execute(_TAKE_OVERDUE, values).mappings()]


def handed_over(connection: Connection, saga_ids: Collection[UUID]) -> None:
    """Mark the checkouts of these sagas as handed over.

    The commit does not wait for the disk: after a crash of the server some are handed over again, which does no harm.
    """
    commit_asynchronously(connection)
    connection.execute(_HANDED_OVER, {"saga_ids": sorted(saga_ids)})


def seconds_to_next_overdue(connection: Connection, style: str, *, by_saga_service: bool) -> float | None:
    """Return the seconds until the first of these handovers is due (not negative); None when there is none."""
    seconds = connection.scalar(_NEXT_OVERDUE, {"style": style, "by_saga_service": by_saga_service})
    return None if seconds is None else max(0.0, float(seconds))
