"""The SQL statements for carts and their lines. Carts are locked in the order of their ids."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from carrito.domain import Cart, CartLine, Product, Release
from carrito.models import carts
from shared.database.prepared import columns_of, prepared
from shared.ids import new_id

_INSERT = prepared(f"INSERT INTO carts (id, user_id) VALUES (:id, :user_id) RETURNING {columns_of(carts)}")  # noqa: S608  (our own)
_FIND = prepared(f"SELECT {columns_of(carts)} FROM carts WHERE id = ANY(CAST(:cart_ids AS uuid[]))")  # noqa: S608  (our own)
_LOCK = prepared(f"""
    SELECT {columns_of(carts)} FROM carts WHERE id = ANY(CAST(:cart_ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
""")  # noqa: S608  (our own)
_LINES = prepared("""
    SELECT cart_id, product_id, name, quantity, unit_price_minor FROM cart_items
    WHERE cart_id = ANY(CAST(:cart_ids AS uuid[])) ORDER BY product_id
""")
_PUT_LINE = prepared("""
    INSERT INTO cart_items (cart_id, product_id, name, quantity, unit_price_minor)
    VALUES (:cart_id, :product_id, :name, :quantity, :unit_price_minor)
    ON CONFLICT (cart_id, product_id) DO UPDATE SET name = excluded.name,
        unit_price_minor = excluded.unit_price_minor, quantity = cart_items.quantity + excluded.quantity
    RETURNING quantity
""")
_REMOVE_LINE = prepared("""
    DELETE FROM cart_items WHERE cart_id = :cart_id AND product_id = :product_id RETURNING product_id
""")
_TOUCH = prepared("UPDATE carts SET idle_since = now() WHERE id = :cart_id")
_RELEASE = prepared(f"""
    UPDATE carts SET status = 'open', saga_id = NULL
    FROM unnest(CAST(:cart_ids AS uuid[]), CAST(:saga_ids AS uuid[])) AS compensated (cart_id, saga_id)
    WHERE carts.id = compensated.cart_id AND carts.saga_id = compensated.saga_id AND NOT EXISTS (
        SELECT FROM orders WHERE orders.saga_id = compensated.saga_id AND orders.status <> 'cancelled'
    )
    RETURNING {columns_of(carts)}
""")  # noqa: S608  (our own)


def insert(connection: Connection, user_id: str) -> Cart:
    """Insert an empty, open cart."""
    return Cart(**connection.execute(_INSERT, {"id": new_id(), "user_id": user_id}).mappings().one())


def find(connection: Connection, cart_ids: Sequence[UUID]) -> dict[UUID, Cart]:
    """Return the carts with these ids, without their lines, by id."""
    if not cart_ids:
        return {}
    return {row["id"]: Cart(**row) for row in connection.execute(_FIND, {"cart_ids": list(cart_ids)}).mappings()}


def lock(connection: Connection, cart_ids: Sequence[UUID]) -> dict[UUID, Cart]:
    """As `find`, and lock these carts: no other transaction changes them or their lines until this one ends."""
    return {row["id"]: Cart(**row) for row in connection.execute(_LOCK, {"cart_ids": list(cart_ids)}).mappings()}


def with_lines(connection: Connection, carts: Sequence[Cart]) -> list[Cart]:
    """Return these carts with their lines."""
    lines = defaultdict[UUID, list[CartLine]](list)
    for cart_id, *line in connection.execute(_LINES, {"cart_ids": [cart.id for cart in carts]}):
        lines[cart_id].append(CartLine(*line))
    return [replace(cart, lines=lines[cart.id]) for cart in carts]


def put_line(connection: Connection, cart_id: UUID, product: Product, quantity: int) -> int:
    """Add a quantity of a product at its present price; return the cart's new quantity."""
    price = {"name": product.name, "unit_price_minor": product.price_minor}
    values = {"cart_id": cart_id, "product_id": product.product_id, "quantity": quantity, **price}
    return int(connection.execute(_PUT_LINE, values).scalar_one())


def remove_line(connection: Connection, cart_id: UUID, product_id: int) -> bool:
    """Remove a product; False if it was not in the cart."""
    return connection.scalar(_REMOVE_LINE, {"cart_id": cart_id, "product_id": product_id}) is not None


def touch(connection: Connection, cart_id: UUID) -> None:
    """Set the time of the cart's last use to now: the purge deletes carts that were unused for long."""
    connection.execute(_TOUCH, {"cart_id": cart_id})


def release(connection: Connection, releases: Sequence[Release]) -> dict[UUID, Cart]:
    """Open the carts of these sagas, except of those whose order is not cancelled; return the opened ones, by id."""
    if not releases:
        return {}
    ids = {"cart_ids": [each.cart_id for each in releases], "saga_ids": [each.saga_id for each in releases]}
    return {row["id"]: Cart(**row) for row in connection.execute(_RELEASE, ids).mappings()}
