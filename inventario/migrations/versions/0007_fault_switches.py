"""Faults that are switched on, and how often each has happened."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fault_switches",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("point", sa.String(length=10), nullable=True),
        sa.Column("match", sa.JSON(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fault_switches")),
        schema="inventario",
    )
    op.create_table(
        "fault_firings",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("fired", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "name", name=op.f("pk_fault_firings")),
        schema="inventario",
    )


def downgrade() -> None:
    op.drop_table("fault_firings", schema="inventario")
    op.drop_table("fault_switches", schema="inventario")
