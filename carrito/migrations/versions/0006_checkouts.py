"""What each saga is about, frozen in a row of its own; what each request of a saga named."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_LINES = """
    SELECT CAST(json_agg(json_build_object(
               'product_id', product_id, 'name', name, 'quantity', quantity,
               'unit_price', round(unit_price_minor / 100.0, 2)
           ) ORDER BY product_id) AS text) AS items,
           sum(unit_price_minor * quantity) AS total_minor
    FROM carrito.cart_items WHERE cart_items.cart_id = carts.id HAVING count(*) > 0
"""


def upgrade() -> None:
    op.add_column("barrier", sa.Column("request", sa.JSON(none_as_null=True), nullable=True), schema="carrito")
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
        sa.Column("handover_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_checkouts")),
        schema="carrito",
    )
    op.create_index(
        "ix_checkouts_handover",
        "checkouts",
        ["handover_due_at"],
        unique=False,
        schema="carrito",
        postgresql_where=sa.text("handover_due_at IS NOT NULL"),
    )
    # One shop, one currency: that of the orders that there are.
    op.execute(f"""
        INSERT INTO carrito.checkouts (
            saga_id, cart_id, user_id, saga_pattern, payment_method, billing_address, items, total_minor, currency,
            trace, handover_due_at
        )
        SELECT saga_id, id, user_id, wish ->> 'saga_pattern', wish ->> 'payment_method', wish -> 'billing_address',
               items, total_minor, coalesce((SELECT currency FROM carrito.orders LIMIT 1), 'EUR'),
               wish ->> 'trace', handover_due_at
        FROM carrito.carts CROSS JOIN LATERAL ({_LINES}) AS lines
        WHERE saga_id IS NOT NULL
    """)  # noqa: S608  (our own)
    op.drop_index("ix_carts_handover", table_name="carts", schema="carrito")
    op.drop_column("carts", "handover_due_at", schema="carrito")
    op.drop_column("carts", "wish", schema="carrito")


def downgrade() -> None:
    op.add_column("carts", sa.Column("wish", sa.JSON(none_as_null=True), nullable=True), schema="carrito")
    op.add_column("carts", sa.Column("handover_due_at", sa.DateTime(timezone=True), nullable=True), schema="carrito")
    op.create_index(
        "ix_carts_handover",
        "carts",
        ["handover_due_at"],
        unique=False,
        schema="carrito",
        postgresql_where=sa.text("handover_due_at IS NOT NULL"),
    )
    op.execute("""
        UPDATE carrito.carts
        SET handover_due_at = checkouts.handover_due_at,
            wish = json_build_object(
                'payment_method', payment_method, 'billing_address', billing_address, 'saga_pattern', saga_pattern,
                'trace', trace
            )
        FROM carrito.checkouts WHERE checkouts.saga_id = carts.saga_id AND payment_method IS NOT NULL
    """)
    op.drop_table("checkouts", schema="carrito")
    op.drop_column("barrier", "request", schema="carrito")
