"""Sagas are found by more of what is known of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# The other new columns of older sagas are filled by `python -m saga_choreography.rebuild`.
FILL = """
UPDATE saga_choreography.sagas SET order_id = CAST(facts -> 'checkout.initiated' ->> 'order_id' AS uuid)
 WHERE facts -> 'checkout.initiated' ->> 'order_id' IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("sagas", sa.Column("order_id", sa.Uuid(), nullable=True), schema="saga_choreography")
    op.add_column(
        "sagas",
        sa.Column("retrying", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="saga_choreography",
    )
    op.add_column("sagas", sa.Column("failed_step", sa.String(length=40), nullable=True), schema="saga_choreography")
    op.add_column(
        "sagas", sa.Column("first_effect_at", sa.DateTime(timezone=True), nullable=True), schema="saga_choreography"
    )
    op.execute(FILL)
    op.create_index("ix_sagas_user", "sagas", ["user_id", "saga_id"], schema="saga_choreography")
    op.create_index("ix_sagas_method", "sagas", ["payment_method", "saga_id"], schema="saga_choreography")
    op.create_index(
        "ix_sagas_order",
        "sagas",
        ["order_id"],
        schema="saga_choreography",
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_index(
        "ix_sagas_retrying", "sagas", ["saga_id"], schema="saga_choreography", postgresql_where=sa.text("retrying")
    )
    op.create_index(
        "ix_sagas_failed",
        "sagas",
        ["failed_step", "saga_id"],
        schema="saga_choreography",
        postgresql_where=sa.text("failed_step IS NOT NULL"),
    )


def downgrade() -> None:
    for name in ("failed", "retrying", "order", "method", "user"):
        op.drop_index(f"ix_sagas_{name}", "sagas", schema="saga_choreography")
    for name in ("first_effect_at", "failed_step", "retrying", "order_id"):
        op.drop_column("sagas", name, schema="saga_choreography")
