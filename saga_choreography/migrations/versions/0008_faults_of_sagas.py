"""What a saga is to suffer on purpose goes with it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("fault", sa.String(length=200), nullable=True), schema="saga_choreography")


def downgrade() -> None:
    op.drop_column("outbox", "fault", schema="saga_choreography")
