"""Sagas are read in the order of their changes, and by when they ended."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # All that there are changed in the transaction that adds this, as far as the feed goes.
    op.add_column(
        "sagas",
        sa.Column(
            "changed",
            sa.BigInteger(),
            server_default=sa.text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)"),
            nullable=False,
        ),
        schema="saga_orchestrator",
    )
    op.create_index("ix_sagas_changed", "sagas", ["changed", "saga_id"], schema="saga_orchestrator")
    op.create_index(
        "ix_sagas_ended",
        "sagas",
        ["ended_at"],
        schema="saga_orchestrator",
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_sagas_ended", "sagas", schema="saga_orchestrator")
    op.drop_index("ix_sagas_changed", "sagas", schema="saga_orchestrator")
    op.drop_column("sagas", "changed", schema="saga_orchestrator")
