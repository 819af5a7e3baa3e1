"""What was frozen is never written again; whoever does so all the same is seen by an audit."""

from alembic import op

from shared.auditing.triggers import drop_row_triggers, row_triggers

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What an auditor is told of a checkout. When one is handed over, none of it is written. One that comes is logged with
# its cart; one that goes says nothing any more.
TOLD = ("saga_id", "saga_pattern", "items", "total_minor")
FROZEN = {f"UPDATE OF {', '.join(TOLD)}": " OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in TOLD)}


def upgrade() -> None:
    op.execute(row_triggers("carrito", "checkouts", FROZEN))


def downgrade() -> None:
    op.execute(drop_row_triggers("carrito", "checkouts"))
