"""Events are kept with what their saga is to suffer on purpose, so that the saga can be made anew with it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("fault", sa.String(length=200), nullable=True), schema="saga_choreography")


def downgrade() -> None:
    op.drop_column("events", "fault", schema="saga_choreography")
