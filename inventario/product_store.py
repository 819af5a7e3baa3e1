"""The SQL statements for products, one product each."""

from sqlalchemy import Connection

from inventario.domain import NewProduct, Product
from inventario.models import products
from shared.database.prepared import columns_of, prepared

_INSERT = prepared(f"""
    INSERT INTO products (sku, name, description, category, price_minor, available, seeded)
    VALUES (:sku, :name, :description, :category, :price_minor, :quantity, :quantity)
    ON CONFLICT DO NOTHING
    RETURNING {columns_of(products)}
""")  # noqa: S608  (our own)
_GET = prepared(f"SELECT {columns_of(products)} FROM products WHERE id = :product_id")  # noqa: S608  (our own)
_PAGE = prepared(f"""
    SELECT {columns_of(products)} FROM products WHERE id > :after ORDER BY id LIMIT :limit
""")  # noqa: S608  (our own)
_RESTOCK = prepared(f"""
    UPDATE products SET available = available + :quantity, restocked = restocked + :quantity WHERE id = :product_id
    RETURNING {columns_of(products)}
""")  # noqa: S608  (our own)


def insert(connection: Connection, new: NewProduct) -> Product | None:
    """Insert a product with its first stock; None if another product has its sku."""
    row = connection.execute(_INSERT, vars(new)).mappings().first()
    return None if row is None else Product(**row)


def get(connection: Connection, product_id: int) -> Product | None:
    """Return a product; None if it does not exist."""
    row = connection.execute(_GET, {"product_id": product_id}).mappings().first()
    return None if row is None else Product(**row)


def page(connection: Connection, after: int, limit: int) -> list[Product]:
    """Return up to `limit` products with ids above `after`, in the order of ids."""
    return [Product(**row) for row in connection.execute(_PAGE, {"after": after, "limit": limit}).mappings()]


def restock(connection: Connection, product_id: int, quantity: int) -> Product | None:
    """Add stock to a product and return it; None if it does not exist."""
    row = connection.execute(_RESTOCK, {"product_id": product_id, "quantity": quantity}).mappings().first()
    return None if row is None else Product(**row)
