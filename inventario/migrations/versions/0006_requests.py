"""What each request of a saga named."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("barrier", sa.Column("request", sa.JSON(none_as_null=True), nullable=True), schema="inventario")


def downgrade() -> None:
    op.drop_column("barrier", "request", schema="inventario")
