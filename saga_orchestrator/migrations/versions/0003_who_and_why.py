"""Who asked for something, and why, have columns of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("timeline", sa.Column("by", sa.String(length=200), nullable=True), schema="saga_orchestrator")
    op.add_column("timeline", sa.Column("reason", sa.String(length=200), nullable=True), schema="saga_orchestrator")


def downgrade() -> None:
    op.drop_column("timeline", "reason", schema="saga_orchestrator")
    op.drop_column("timeline", "by", schema="saga_orchestrator")
