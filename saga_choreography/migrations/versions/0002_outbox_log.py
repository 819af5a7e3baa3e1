"""Sent events stay in the outbox as a log, until they are purged, and can be sent again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True), schema="saga_choreography")
    op.create_index("ix_outbox_saga_id", "outbox", ["saga_id"], unique=False, schema="saga_choreography")
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["due_at"],
        unique=False,
        schema="saga_choreography",
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.drop_index("ix_outbox_due_at", table_name="outbox", schema="saga_choreography")


def downgrade() -> None:
    op.execute("DELETE FROM saga_choreography.outbox WHERE sent_at IS NOT NULL")
    op.create_index("ix_outbox_due_at", "outbox", ["due_at"], unique=False, schema="saga_choreography")
    op.drop_index("ix_outbox_unsent", table_name="outbox", schema="saga_choreography")
    op.drop_index("ix_outbox_saga_id", table_name="outbox", schema="saga_choreography")
    op.drop_column("outbox", "sent_at", schema="saga_choreography")
