"""The SQL statements for orders, each for many sagas.

Ids are passed as arrays, whose length PostgreSQL knows when it plans. Rows are locked in the order of ids.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, TextClause

from carrito.domain import Order, OrderOfSaga, OrderRequest
from carrito.models import orders
from shared.database.prepared import columns_of, prepared
from shared.ids import new_id
from shared.json_codec import dumps

# The order is a copy of the saga's checkout. The statement locks the cart, which must still be the saga's.
_PLACE = prepared(f"""
    WITH frozen AS (
        SELECT coalesce(checkouts.order_id, requests.order_id) AS id, checkouts.saga_id, cart_id, checkouts.user_id,
            coalesce(checkouts.payment_id, requests.payment_id) AS payment_id,
            coalesce(checkouts.billing_address, requests.billing_address) AS billing_address, items, total_minor,
            currency, number
        FROM unnest(
            CAST(:saga_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:payment_ids AS uuid[]),
            CAST(:billing_addresses AS json[])
        ) WITH ORDINALITY AS requests (saga_id, order_id, payment_id, billing_address, number)
        JOIN checkouts ON checkouts.saga_id = requests.saga_id
        JOIN carts ON carts.id = checkouts.cart_id AND carts.saga_id = checkouts.saga_id
        WHERE carts.status = 'checking_out'
        ORDER BY carts.id FOR NO KEY UPDATE OF carts
    )
    INSERT INTO orders (id, saga_id, cart_id, user_id, payment_id, billing_address, items, total_minor, currency)
    SELECT id, saga_id, cart_id, user_id, payment_id, billing_address, items, total_minor, currency
    FROM frozen ORDER BY id, number
    ON CONFLICT DO NOTHING
    RETURNING {columns_of(orders)}
""")  # noqa: S608  (our own)

_CONFIRM = prepared(f"""
    WITH found AS (
        SELECT orders.id
        FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:cart_ids AS uuid[]))
            AS requests (saga_id, order_id, cart_id)
        JOIN orders ON orders.saga_id = requests.saga_id AND orders.id = coalesce(requests.order_id, orders.id)
            AND orders.cart_id = coalesce(requests.cart_id, orders.cart_id)
        ORDER BY orders.id FOR NO KEY UPDATE OF orders
    ), confirmed AS (
        UPDATE orders SET status = 'confirmed' FROM found WHERE orders.id = found.id AND status = 'pending'
        RETURNING {columns_of(orders)}
    ), closed AS (
        UPDATE carts SET status = 'checked_out'
        FROM confirmed WHERE carts.id = confirmed.cart_id AND carts.saga_id = confirmed.saga_id
    )
    SELECT * FROM confirmed
""")  # noqa: S608  (our own)
_CANCEL = prepared(f"""
    WITH found AS (
        SELECT orders.id
        FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:cart_ids AS uuid[]))
            AS requests (saga_id, order_id, cart_id)
        JOIN orders ON orders.saga_id = requests.saga_id AND orders.id = coalesce(requests.order_id, orders.id)
            AND orders.cart_id = coalesce(requests.cart_id, orders.cart_id)
        ORDER BY orders.id FOR NO KEY UPDATE OF orders
    )
    UPDATE orders SET status = 'cancelled' FROM found WHERE orders.id = found.id AND status IN ('pending', 'confirmed')
    RETURNING {columns_of(orders)}
""")  # noqa: S608  (our own)
_FIND = prepared(f"""
    SELECT {columns_of(orders)} FROM orders
    WHERE saga_id = ANY(CAST(:saga_ids AS uuid[])) OR id = ANY(CAST(:order_ids AS uuid[]))
""")  # noqa: S608  (our own)
_OF_CART = prepared(f"""
    SELECT {columns_of(orders)} FROM orders WHERE cart_id = :cart_id ORDER BY created_at, id
""")  # noqa: S608  (our own)


def place(connection: Connection, requests: Sequence[OrderRequest]) -> dict[UUID, Order]:
    """Insert pending orders from the sagas' checkouts, while their carts are frozen; return those inserted, by saga."""
    if not requests:
        return {}
    values = {
        "saga_ids": [each.saga_id for each in requests],
        "order_ids": [each.order_id or new_id() for each in requests],
        "payment_ids": [each.payment_id for each in requests],
        "billing_addresses": [each.billing_address and dumps(each.billing_address) for each in requests],
    }
    return {row["saga_id"]: Order(**row) for row in connection.execute(_PLACE, values).mappings()}


def confirm(connection: Connection, commands: Sequence[OrderOfSaga]) -> dict[UUID, Order]:
    """Confirm pending orders and check their carts out; return those confirmed just now, by saga."""
    return _changed(connection, _CONFIRM, commands)


def cancel(connection: Connection, commands: Sequence[OrderOfSaga]) -> dict[UUID, Order]:
    """Cancel pending and confirmed orders; return those cancelled just now, by saga."""
    return _changed(connection, _CANCEL, commands)


def find(connection: Connection, saga_ids: Sequence[UUID], order_ids: Sequence[UUID | None]) -> list[Order]:
    """Return the orders of these sagas and those with these ids."""
    known = [order_id for order_id in order_ids if order_id is not None]
    if not saga_ids and not known:
        return []
    ids = {"saga_ids": list(saga_ids), "order_ids": known}
    return [Order(**row) for row in connection.execute(_FIND, ids).mappings()]


def of_cart(connection: Connection, cart_id: UUID) -> list[Order]:
    """Return all orders that a cart ever had, oldest first."""
    return [Order(**row) for row in connection.execute(_OF_CART, {"cart_id": cart_id}).mappings()]


def _changed(connection: Connection, statement: TextClause, commands: Sequence[OrderOfSaga]) -> dict[UUID, Order]:
    if not commands:
        return {}
    ids = {f"{name}s": [getattr(each, name) for each in commands] for name in ("saga_id", "order_id", "cart_id")}
    return {row["saga_id"]: Order(**row) for row in connection.execute(statement, ids).mappings()}
