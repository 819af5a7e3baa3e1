"""The timeline keeps the bodies of answers that are no success."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("timeline", sa.Column("answer", sa.Text(), nullable=True), schema="saga_orchestrator")


def downgrade() -> None:
    op.drop_column("timeline", "answer", schema="saga_orchestrator")
