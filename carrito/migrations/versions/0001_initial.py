"""The first tables."""

import sqlalchemy as sa
from alembic import op

from shared.auditing.triggers import (
    DROP_TABLES,
    TABLES,
    ChangedColumns,
    drop_row_triggers,
    drop_triggers,
    row_triggers,
    triggers,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "carrito"
ORDERS = [
    "SELECT 'orders', status, 1 FROM {rows}",
    "SELECT 'confirmed_minor', currency, total_minor FROM {rows} WHERE status = 'confirmed'",
]
CARTS = ["SELECT 'carts', status, 1 FROM {rows}"]
SAGA_OF_ORDER = ChangedColumns("id", ("saga_id", "cart_id", "status", "items", "total_minor", "currency"))
SAGA_OF_CART = ChangedColumns("id", ("saga_id", "status"))
# The columns of a checkout that an auditor reads. The service never updates them; a change by hand is logged. A new
# checkout is logged with its cart, and a deleted one is of no interest.
AUDITED = ("saga_id", "saga_pattern", "items", "total_minor")
FROZEN = {f"UPDATE OF {', '.join(AUDITED)}": " OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in AUDITED)}


def upgrade() -> None:
    _create_carts()
    _create_orders()
    _create_barrier()
    _create_messaging()
    _create_operations()
    # Running totals and the log of changed sagas, so that an audit costs what changed.
    op.execute(TABLES.format(schema=SCHEMA))
    op.execute(triggers(SCHEMA, "orders", ORDERS, SAGA_OF_ORDER))
    op.execute(triggers(SCHEMA, "carts", CARTS, SAGA_OF_CART))
    op.execute(row_triggers(SCHEMA, "checkouts", FROZEN))


def _create_carts() -> None:
    op.create_table(
        "carts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), server_default="open", nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=True),
        sa.Column("idle_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'open') = (saga_id IS NULL)", name=op.f("ck_carts_one_saga")),
        sa.CheckConstraint("status IN ('open', 'checking_out', 'checked_out')", name=op.f("ck_carts_status")),
        sa.CheckConstraint("saga_id IS NULL OR idle_since IS NULL", name=op.f("ck_carts_kept")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carts")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_carts_saga_id")),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_carts_idle", "carts", ["idle_since"], schema=SCHEMA, postgresql_where=sa.text("idle_since IS NOT NULL")
    )
    op.create_table(
        "cart_items",
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_cart_items_some")),
        sa.ForeignKeyConstraint(["cart_id"], ["carrito.carts.id"], name=op.f("fk_cart_items_cart_id")),
        sa.PrimaryKeyConstraint("cart_id", "product_id", name=op.f("pk_cart_items")),
        schema=SCHEMA,
    )


def _create_orders() -> None:
    op.create_table(
        "checkouts",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("saga_pattern", sa.String(length=16), nullable=True),
        sa.Column("payment_method", sa.String(length=32), nullable=True),
        sa.Column("billing_address", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("trace", sa.String(length=55), nullable=True),
        sa.Column("fault", sa.String(length=200), nullable=True),
        sa.Column("handover_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("by_saga_service", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_checkouts")),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_checkouts_handover",
        "checkouts",
        ["saga_pattern", "by_saga_service", "handover_due_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("handover_due_at IS NOT NULL"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("billing_address", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=10), server_default="pending", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('pending', 'confirmed', 'cancelled')", name=op.f("ck_orders_status")),
        sa.ForeignKeyConstraint(["cart_id"], ["carrito.carts.id"], name=op.f("fk_orders_cart_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_orders_saga_id")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_orders_cart_id"), "orders", ["cart_id"], schema=SCHEMA)


def _create_barrier() -> None:
    op.create_table(
        "barrier",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=12), nullable=False),
        sa.Column("request", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("refusal", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "direction", name=op.f("pk_barrier")),
        schema=SCHEMA,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("endpoint", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", "endpoint", name=op.f("pk_idempotency_keys")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], schema=SCHEMA)


def _create_messaging() -> None:
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
        schema=SCHEMA,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Uuid(), nullable=True),
        sa.Column("trace", sa.String(length=55), nullable=True),
        sa.Column("fault", sa.String(length=200), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_outbox_saga_id"), "outbox", ["saga_id"], schema=SCHEMA)
    op.create_index(
        "ix_outbox_unsent", "outbox", ["due_at"], schema=SCHEMA, postgresql_where=sa.text("sent_at IS NULL")
    )


def _create_operations() -> None:
    op.create_table(
        "purge_runs",
        sa.Column("purged", sa.String(length=40), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("purged", name=op.f("pk_purge_runs")),
        schema=SCHEMA,
    )
    op.create_table(
        "fault_switches",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("point", sa.String(length=10), nullable=True),
        sa.Column("match", sa.JSON(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fault_switches")),
        schema=SCHEMA,
    )
    op.create_table(
        "fault_firings",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("fired", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "name", name=op.f("pk_fault_firings")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.execute(drop_row_triggers(SCHEMA, "checkouts"))
    op.execute(drop_triggers(SCHEMA, "orders") + drop_triggers(SCHEMA, "carts"))
    op.execute(DROP_TABLES.format(schema=SCHEMA))
    for name in (
        "fault_firings",
        "fault_switches",
        "purge_runs",
        "outbox",
        "inbox",
        "idempotency_keys",
        "barrier",
        "orders",
        "checkouts",
        "cart_items",
        "carts",
    ):
        op.drop_table(name, schema=SCHEMA)
