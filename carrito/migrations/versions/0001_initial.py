"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "barrier",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=12), nullable=False),
        sa.Column("refusal", postgresql.JSON(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "direction", name=op.f("pk_barrier")),
        schema="carrito",
    )
    op.create_table(
        "carts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), server_default="open", nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=True),
        sa.Column("wish", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("handover_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'open') = (saga_id IS NULL)", name=op.f("ck_carts_one_saga")),
        sa.CheckConstraint("status IN ('open', 'checking_out', 'checked_out')", name=op.f("ck_carts_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carts")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_carts_saga_id")),
        schema="carrito",
    )
    op.create_index(
        "ix_carts_handover",
        "carts",
        ["handover_due_at"],
        unique=False,
        schema="carrito",
        postgresql_where=sa.text("handover_due_at IS NOT NULL"),
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
        schema="carrito",
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
        schema="carrito",
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
        schema="carrito",
    )
    op.create_index(op.f("ix_orders_cart_id"), "orders", ["cart_id"], unique=False, schema="carrito")


def downgrade() -> None:
    op.drop_index(op.f("ix_orders_cart_id"), table_name="orders", schema="carrito")
    op.drop_table("orders", schema="carrito")
    op.drop_table("cart_items", schema="carrito")
    op.drop_table("idempotency_keys", schema="carrito")
    op.drop_index(
        "ix_carts_handover",
        table_name="carts",
        schema="carrito",
        postgresql_where=sa.text("handover_due_at IS NOT NULL"),
    )
    op.drop_table("carts", schema="carrito")
    op.drop_table("barrier", schema="carrito")
