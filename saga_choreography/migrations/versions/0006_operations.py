"""What operators did is found without reading all notes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_notes_operations",
        "notes",
        ["id"],
        schema="saga_choreography",
        postgresql_where=sa.text("\"by\" <> 'watchdog' AND kind <> 'redriven'"),
    )


def downgrade() -> None:
    op.drop_index("ix_notes_operations", "notes", schema="saga_choreography")
