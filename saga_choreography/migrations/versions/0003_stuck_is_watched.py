"""A stuck saga is watched on, since its events are sent again; why somebody asked for something has a column."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notes", sa.Column("reason", sa.String(length=200), nullable=True), schema="saga_choreography")
    op.drop_constraint(op.f("ck_sagas_watched"), "sagas", schema="saga_choreography")
    op.execute("UPDATE saga_choreography.sagas SET due_at = now() WHERE status = 'stuck'")
    op.create_check_constraint(
        op.f("ck_sagas_watched"),
        "sagas",
        "(status IN ('completed', 'compensated')) = (due_at IS NULL)",
        schema="saga_choreography",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_sagas_watched"), "sagas", schema="saga_choreography")
    op.execute("UPDATE saga_choreography.sagas SET due_at = NULL WHERE status = 'stuck'")
    op.create_check_constraint(
        op.f("ck_sagas_watched"),
        "sagas",
        "(status IN ('completed', 'compensated', 'stuck')) = (due_at IS NULL)",
        schema="saga_choreography",
    )
    op.drop_column("notes", "reason", schema="saga_choreography")
