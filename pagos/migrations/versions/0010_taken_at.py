"""Events tell when their cause was taken from the queue."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True), schema="pagos")


def downgrade() -> None:
    op.drop_column("outbox", "taken_at", schema="pagos")
