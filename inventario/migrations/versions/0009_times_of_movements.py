"""When a reservation was sold, and when its stock came back."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = ("committed_at", "returned_at")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("reservations", sa.Column(name, sa.DateTime(timezone=True), nullable=True), schema="inventario")


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("reservations", name, schema="inventario")
