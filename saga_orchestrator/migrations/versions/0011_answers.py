"""The timeline tells the status of each answer, how many sagas were in the request, and which fault was injected."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("timeline", sa.Column("together", sa.Integer(), nullable=True), schema="saga_orchestrator")
    op.add_column("timeline", sa.Column("status_code", sa.Integer(), nullable=True), schema="saga_orchestrator")
    op.add_column("timeline", sa.Column("fault", sa.String(length=200), nullable=True), schema="saga_orchestrator")


def downgrade() -> None:
    op.drop_column("timeline", "fault", schema="saga_orchestrator")
    op.drop_column("timeline", "status_code", schema="saga_orchestrator")
    op.drop_column("timeline", "together", schema="saga_orchestrator")
