"""Sagas are found by more of what is known of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What a saga's state says. When the first step of an older saga took effect stays unknown.
FILL = """
UPDATE saga_orchestrator.sagas
   SET retrying = due_at IS NOT NULL AND CAST(state ->> 'unanswered' AS integer) > 0,
       failed_step = (
           SELECT task ->> 'name' FROM json_array_elements(state -> 'tasks') AS task
            WHERE task ->> 'status' = 'failed' LIMIT 1
       )
 WHERE status <> 'completed'
"""


def upgrade() -> None:
    op.add_column(
        "sagas",
        sa.Column("retrying", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="saga_orchestrator",
    )
    op.add_column("sagas", sa.Column("failed_step", sa.String(length=40), nullable=True), schema="saga_orchestrator")
    op.add_column(
        "sagas", sa.Column("first_effect_at", sa.DateTime(timezone=True), nullable=True), schema="saga_orchestrator"
    )
    op.execute(FILL)
    op.create_index("ix_sagas_user", "sagas", ["user_id", "saga_id"], schema="saga_orchestrator")
    op.create_index("ix_sagas_method", "sagas", ["payment_method", "saga_id"], schema="saga_orchestrator")
    op.create_index("ix_sagas_order", "sagas", ["order_id"], schema="saga_orchestrator")
    op.create_index(
        "ix_sagas_retrying", "sagas", ["saga_id"], schema="saga_orchestrator", postgresql_where=sa.text("retrying")
    )
    op.create_index(
        "ix_sagas_failed",
        "sagas",
        ["failed_step", "saga_id"],
        schema="saga_orchestrator",
        postgresql_where=sa.text("failed_step IS NOT NULL"),
    )


def downgrade() -> None:
    for name in ("failed", "retrying", "order", "method", "user"):
        op.drop_index(f"ix_sagas_{name}", "sagas", schema="saga_orchestrator")
    for name in ("first_effect_at", "failed_step", "retrying"):
        op.drop_column("sagas", name, schema="saga_orchestrator")
