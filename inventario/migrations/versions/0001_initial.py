"""Products, reservations, barrier and idempotency keys."""

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
        schema="inventario",
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
        schema="inventario",
    )
    op.create_table(
        "products",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("category", sa.String(length=200), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seeded", sa.BigInteger(), nullable=False),
        sa.Column("restocked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("available + held + sold = seeded + restocked", name=op.f("ck_products_none_lost")),
        sa.CheckConstraint("available >= 0 AND held >= 0 AND sold >= 0", name=op.f("ck_products_none_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("sku", name=op.f("uq_products_sku")),
        schema="inventario",
    )
    op.create_table(
        "reservations",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=10), server_default="held", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('held', 'committed', 'released', 'expired')", name=op.f("ck_reservations_status")
        ),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_reservations")),
        schema="inventario",
    )
    op.create_index(op.f("ix_reservations_cart_id"), "reservations", ["cart_id"], unique=False, schema="inventario")
    op.create_index(
        "ix_reservations_holds",
        "reservations",
        ["expires_at"],
        unique=False,
        schema="inventario",
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_table(
        "reservation_lines",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_lines_some")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["inventario.products.id"], name=op.f("fk_reservation_lines_product_id")
        ),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["inventario.reservations.saga_id"], name=op.f("fk_reservation_lines_saga_id")
        ),
        sa.PrimaryKeyConstraint("saga_id", "product_id", name=op.f("pk_reservation_lines")),
        schema="inventario",
    )


def downgrade() -> None:
    op.drop_table("reservation_lines", schema="inventario")
    op.drop_index(
        "ix_reservations_holds",
        table_name="reservations",
        schema="inventario",
        postgresql_where=sa.text("status = 'held'"),
    )
    op.drop_index(op.f("ix_reservations_cart_id"), table_name="reservations", schema="inventario")
    op.drop_table("reservations", schema="inventario")
    op.drop_table("products", schema="inventario")
    op.drop_table("idempotency_keys", schema="inventario")
    op.drop_table("barrier", schema="inventario")
