"""Handovers that are awaited, by pattern."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("saga_pattern", "handover_due_at")


def downgrade() -> None:
    _index("handover_due_at")


def _index(*columns: str) -> None:
    op.drop_index("ix_checkouts_handover", table_name="checkouts", schema="carrito")
    op.create_index(
        "ix_checkouts_handover",
        "checkouts",
        list(columns),
        unique=False,
        schema="carrito",
        postgresql_where=sa.text("handover_due_at IS NOT NULL"),
    )
