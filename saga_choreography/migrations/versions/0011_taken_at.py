"""Events tell when their cause was taken from the queue, and what was done on purpose."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "outbox", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True), schema="saga_choreography"
    )
    op.add_column("events", sa.Column("injected", sa.String(length=200), nullable=True), schema="saga_choreography")
    op.add_column(
        "events", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True), schema="saga_choreography"
    )


def downgrade() -> None:
    op.drop_column("events", "taken_at", schema="saga_choreography")
    op.drop_column("events", "injected", schema="saga_choreography")
    op.drop_column("outbox", "taken_at", schema="saga_choreography")
