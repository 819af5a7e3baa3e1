"""Running totals and the log of changed sagas, so that an audit costs what changed."""

from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, Changed, drop_triggers, prefill, triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SAGAS = ["SELECT 'sagas', status, 1 FROM {rows}"]
STATUS = Changed("saga_id", ("saga_id", "status"))


def upgrade() -> None:
    op.execute(TABLES.format(schema="saga_orchestrator"))
    op.execute(triggers("saga_orchestrator", "sagas", SAGAS, STATUS))
    op.execute(prefill("saga_orchestrator", {"sagas": SAGAS}))


def downgrade() -> None:
    op.execute(drop_triggers("saga_orchestrator", "sagas"))
    op.execute(DROP_TABLES.format(schema="saga_orchestrator"))
