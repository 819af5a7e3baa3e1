"""Since when nobody has touched a cart that was never checked out."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Those that there are count from now on; of those that a saga had, none may go.
    op.add_column(
        "carts",
        sa.Column("idle_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        schema="carrito",
    )
    op.execute("""
        UPDATE carrito.carts SET idle_since = NULL
        WHERE saga_id IS NOT NULL OR EXISTS (SELECT FROM carrito.orders WHERE cart_id = carts.id)
            OR EXISTS (SELECT FROM carrito.checkouts WHERE cart_id = carts.id)
    """)
    op.create_check_constraint(
        op.f("ck_carts_kept"), "carts", "saga_id IS NULL OR idle_since IS NULL", schema="carrito"
    )
    op.create_index(
        "ix_carts_idle",
        "carts",
        ["idle_since"],
        unique=False,
        schema="carrito",
        postgresql_where=sa.text("idle_since IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_carts_idle", table_name="carts", schema="carrito")
    op.drop_constraint(op.f("ck_carts_kept"), "carts", schema="carrito")
    op.drop_column("carts", "idle_since", schema="carrito")
