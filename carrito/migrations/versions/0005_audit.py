"""Running totals and the log of changed sagas, so that an audit costs what changed."""

from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, Changed, drop_triggers, prefill, triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ORDERS = [
    "SELECT 'orders', status, 1 FROM {rows}",
    "SELECT 'confirmed_minor', currency, total_minor FROM {rows} WHERE status = 'confirmed'",
]
CARTS = ["SELECT 'carts', status, 1 FROM {rows}"]
SAGA_OF_ORDER = Changed("id", ("saga_id", "cart_id", "status", "items", "total_minor", "currency"))
SAGA_OF_CART = Changed("id", ("saga_id", "status"))


def upgrade() -> None:
    op.execute(TABLES.format(schema="carrito"))
    op.execute(triggers("carrito", "orders", ORDERS, SAGA_OF_ORDER))
    op.execute(triggers("carrito", "carts", CARTS, SAGA_OF_CART))
    op.execute(prefill("carrito", {"orders": ORDERS, "carts": CARTS}))


def downgrade() -> None:
    op.execute(drop_triggers("carrito", "orders") + drop_triggers("carrito", "carts"))
    op.execute(DROP_TABLES.format(schema="carrito"))
