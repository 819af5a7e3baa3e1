"""Which executor has a saga in hand, so that others see when it is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sagas", sa.Column("executor_id", sa.Integer(), nullable=True), schema="saga_orchestrator")
    op.create_index(
        "ix_sagas_executor",
        "sagas",
        ["executor_id"],
        unique=False,
        schema="saga_orchestrator",
        postgresql_where=sa.text("executor_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_sagas_executor",
        table_name="sagas",
        schema="saga_orchestrator",
        postgresql_where=sa.text("executor_id IS NOT NULL"),
    )
    op.drop_column("sagas", "executor_id", schema="saga_orchestrator")
