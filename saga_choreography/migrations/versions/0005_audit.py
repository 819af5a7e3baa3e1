"""Running totals and the log of changed sagas, so that an audit costs what changed; an index of live sagas alone."""

import sqlalchemy as sa
from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, ChangedColumns, drop_triggers, prefill, triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SAGAS = ["SELECT 'sagas', status, 1 FROM {rows}"]
STATUS = ChangedColumns("saga_id", ("saga_id", "status"))


def upgrade() -> None:
    op.execute(TABLES.format(schema="saga_choreography"))
    op.execute(triggers("saga_choreography", "sagas", SAGAS, STATUS))
    op.execute(prefill("saga_choreography", {"sagas": SAGAS}))
    live = sa.text("status NOT IN ('completed', 'compensated')")
    op.create_index("ix_sagas_live", "sagas", ["status", "cart_id"], schema="saga_choreography", postgresql_where=live)


def downgrade() -> None:
    op.drop_index("ix_sagas_live", table_name="sagas", schema="saga_choreography")
    op.execute(drop_triggers("saga_choreography", "sagas"))
    op.execute(DROP_TABLES.format(schema="saga_choreography"))
