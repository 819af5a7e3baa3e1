"""What a saga is about is known when it is accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A saga that was accepted before, and had not read its cart: with no lines to reserve it is refused, and ends.
    op.execute("UPDATE saga_orchestrator.sagas SET items = '[]', total_minor = 0 WHERE items IS NULL")
    for name, kind in (("items", sa.Text()), ("total_minor", sa.BigInteger())):
        op.alter_column("sagas", name, existing_type=kind, nullable=False, schema="saga_orchestrator")


def downgrade() -> None:
    for name, kind in (("items", sa.Text()), ("total_minor", sa.BigInteger())):
        op.alter_column("sagas", name, existing_type=kind, nullable=True, schema="saga_orchestrator")
