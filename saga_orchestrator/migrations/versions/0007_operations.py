"""What operators did is found without reading every timeline."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_timeline_by",
        "timeline",
        ["id"],
        schema="saga_orchestrator",
        postgresql_where=sa.text('"by" IS NOT NULL'),
    )


def downgrade() -> None:
    op.drop_index("ix_timeline_by", "timeline", schema="saga_orchestrator")
