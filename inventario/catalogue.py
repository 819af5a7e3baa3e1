"""The use cases of products; every one runs inside the caller's transaction. Those of reservations: `service.py`."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from inventario.domain import NewProduct, SkuTaken, no_product
from inventario.models import products
from shared.database.connections import Row


def create_product(connection: Connection, new: NewProduct) -> Row:
    """A new product with its first stock; raises `SkuTaken`."""
    values = {
        "sku": new.sku,
        "name": new.name,
        "description": new.description,
        "category": new.category,
        "price_minor": new.price_minor,
        "available": new.quantity,
        "seeded": new.quantity,
    }
    row = (
        connection.execute(insert(products).values(values).on_conflict_do_nothing().returning(products))
        .mappings()
        .first()
    )
    if row is None:
        raise SkuTaken(f"there is a product with sku {new.sku}", sku=new.sku)
    return row


def get_product(connection: Connection, product_id: int) -> Row:
    """One product; raises `ProductNotFound`."""
    row = connection.execute(select(products).where(products.c.id == product_id)).mappings().first()
    if row is None:
        raise no_product(product_id)
    return row


def list_products(connection: Connection, after: int, limit: int) -> Sequence[Row]:
    """Up to `limit` products with an id beyond `after`, in the order of their ids."""
    statement = select(products).where(products.c.id > after).order_by(products.c.id).limit(limit)
    return connection.execute(statement).mappings().all()


def restock(connection: Connection, product_id: int, quantity: int) -> Row:
    """Add stock; raises `ProductNotFound`."""
    statement = (
        update(products)
        .where(products.c.id == product_id)
        .values(available=products.c.available + quantity, restocked=products.c.restocked + quantity)
        .returning(products)
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        raise no_product(product_id)
    return row
