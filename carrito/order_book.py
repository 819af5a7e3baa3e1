"""The statements that make orders and decide their fate, each for many sagas.

What is looked up comes as arrays, whose length PostgreSQL knows when it plans. Rows are locked in the order of ids.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Connection, TextClause, Uuid, any_, bindparam, or_, select

from carrito.domain import OrderOfSaga, OrderRequest
from carrito.models import orders
from shared.db import Row
from shared.json_codec import dumps
from shared.prepared import prepared

# A cart is locked, and its lines don't change any more: it was frozen for this saga before this statement began, or,
# being open, locked by an earlier one (`open_too`). Without an address, the bill goes where the checkout said.
_PLACE = prepared("""
    WITH held AS (
        SELECT asked.saga_id, carts.id AS cart_id, asked.order_id, carts.user_id, asked.payment_id,
            coalesce(asked.billing_address, carts.wish -> 'billing_address') AS billing_address
        FROM unnest(
            CAST(:saga_ids AS uuid[]), CAST(:cart_ids AS uuid[]), CAST(:order_ids AS uuid[]),
            CAST(:user_ids AS text[]), CAST(:payment_ids AS uuid[]), CAST(:billing_addresses AS json[])
        ) AS asked (saga_id, cart_id, order_id, user_id, payment_id, billing_address)
        JOIN carts ON carts.id = asked.cart_id AND carts.user_id = coalesce(asked.user_id, carts.user_id)
        WHERE carts.status = 'checking_out' AND carts.saga_id = asked.saga_id OR :open_too AND carts.status = 'open'
        ORDER BY carts.id FOR NO KEY UPDATE OF carts
    )
    INSERT INTO orders (
        id, saga_id, cart_id, user_id, payment_id, billing_address, items, total_minor, currency
    )
    SELECT order_id, saga_id, cart_id, user_id, payment_id, billing_address, lines.items, lines.total_minor, :currency
    FROM held CROSS JOIN LATERAL (
        SELECT
            CAST(json_agg(json_build_object(
                'product_id', product_id, 'name', name, 'quantity', quantity,
                'unit_price', round(unit_price_minor / 100.0, 2)
            ) ORDER BY product_id) AS text) AS items,
            sum(unit_price_minor * quantity) AS total_minor
        FROM cart_items WHERE cart_items.cart_id = held.cart_id
        HAVING count(*) > 0
    ) AS lines
    ORDER BY order_id
    ON CONFLICT DO NOTHING
    RETURNING *
""")

_CONFIRM = prepared("""
    WITH found AS (
        SELECT orders.id
        FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:order_ids AS uuid[])) AS asked (saga_id, order_id)
        JOIN orders ON orders.saga_id = asked.saga_id AND orders.id = coalesce(asked.order_id, orders.id)
        ORDER BY orders.id FOR NO KEY UPDATE OF orders
    ), confirmed AS (
        UPDATE orders SET status = 'confirmed' FROM found WHERE orders.id = found.id AND status = 'pending'
        RETURNING orders.*
    ), closed AS (
        UPDATE carts SET status = 'checked_out', handover_due_at = NULL
        FROM confirmed WHERE carts.id = confirmed.cart_id AND carts.saga_id = confirmed.saga_id
    )
    SELECT * FROM confirmed
""")
_CANCEL = prepared("""
    WITH found AS (
        SELECT orders.id
        FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:order_ids AS uuid[])) AS asked (saga_id, order_id)
        JOIN orders ON orders.saga_id = asked.saga_id AND orders.id = coalesce(asked.order_id, orders.id)
        ORDER BY orders.id FOR NO KEY UPDATE OF orders
    )
    UPDATE orders SET status = 'cancelled' FROM found WHERE orders.id = found.id AND status IN ('pending', 'confirmed')
    RETURNING orders.*
""")
_RELATED = select(orders).where(
    or_(
        orders.c.saga_id == any_(bindparam("saga_ids", type_=ARRAY(Uuid))),
        orders.c.id == any_(bindparam("order_ids", type_=ARRAY(Uuid))),
    )
)


def place(
    uow: Connection, requests: Sequence[OrderRequest], currency: str, *, open_too: bool = False
) -> dict[UUID, Row]:
    """Make pending orders of carts that are frozen for their sagas; the orders, by saga, that could be made.

    With `open_too` also of open carts, which the caller has locked.
    """
    asked = {
        "saga_ids": [each.saga_id for each in requests],
        "cart_ids": [each.cart_id for each in requests],
        "order_ids": [each.order_id for each in requests],
        "user_ids": [each.user_id for each in requests],
        "payment_ids": [each.payment_id for each in requests],
        "billing_addresses": [each.billing_address and dumps(each.billing_address) for each in requests],
    }
    placed = uow.execute(_PLACE, {**asked, "currency": currency, "open_too": open_too}).mappings()
    return {row["saga_id"]: row for row in placed}


def confirm(uow: Connection, asked: Sequence[OrderOfSaga]) -> dict[UUID, Row]:
    """Confirm pending orders and check their carts out; those, by saga, that were confirmed just now."""
    return _changed(uow, _CONFIRM, asked)


def cancel(uow: Connection, asked: Sequence[OrderOfSaga]) -> dict[UUID, Row]:
    """Cancel orders that stand; those, by saga, that were cancelled just now."""
    return _changed(uow, _CANCEL, asked)


def related(uow: Connection, saga_ids: Sequence[UUID], order_ids: Sequence[UUID | None]) -> Sequence[Row]:
    """The orders of these sagas, and those with these ids."""
    known = [order_id for order_id in order_ids if order_id is not None]
    if not saga_ids and not known:
        return []
    return uow.execute(_RELATED, {"saga_ids": saga_ids, "order_ids": known}).mappings().all()


def _changed(uow: Connection, statement: TextClause, asked: Sequence[OrderOfSaga]) -> dict[UUID, Row]:
    if not asked:
        return {}
    ids = {"saga_ids": [each.saga_id for each in asked], "order_ids": [each.order_id for each in asked]}
    return {row["saga_id"]: row for row in uow.execute(statement, ids).mappings()}
