"""Events tell when their cause was taken from the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True), schema="carrito")


def downgrade() -> None:
    op.drop_column("outbox", "taken_at", schema="carrito")
