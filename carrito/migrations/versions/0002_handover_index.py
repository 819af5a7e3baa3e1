"""An index by which the checkouts to deliver are found apart from those that the orchestrator is asked about."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "carrito"
NAME = "ix_checkouts_handover"
DUE = sa.text("handover_due_at IS NOT NULL")


def upgrade() -> None:
    """Index overdue checkouts by style, by who began them, and by due time."""
    _index("saga_pattern", "by_saga_service", "handover_due_at")


def downgrade() -> None:
    """Index them by style and due time."""
    _index("saga_pattern", "handover_due_at")


def _index(*columns: str) -> None:
    op.drop_index(NAME, "checkouts", schema=SCHEMA)
    op.create_index(NAME, "checkouts", list(columns), schema=SCHEMA, postgresql_where=DUE)
