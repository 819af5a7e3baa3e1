"""That a payment was compensated is what an auditor is told of the barrier; he sees who else writes it."""

from alembic import op

from shared.auditing.triggers import drop_row_triggers, row_triggers

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UNDONE = "{row}.step = 'process_payment' AND {row}.direction = 'compensation'"
OF_NEW = UNDONE.format(row="NEW")
# A row that is purged says nothing any more.
COMPENSATED = {"INSERT": OF_NEW, "UPDATE OF saga_id, step, direction": f"{UNDONE.format(row='OLD')} OR {OF_NEW}"}


def upgrade() -> None:
    op.execute(row_triggers("pagos", "barrier", COMPENSATED))


def downgrade() -> None:
    op.execute(drop_row_triggers("pagos", "barrier"))
