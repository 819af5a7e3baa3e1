"""The feed of changes reads the log of changes; a saga's row has no index that every write of it has to touch."""

from alembic import op

from shared.auditing.triggers import ChangedColumns, drop_triggers, triggers

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SAGAS = ["SELECT 'sagas', status, 1 FROM {rows}"]


def upgrade() -> None:
    op.execute(drop_triggers("saga_choreography", "sagas"))
    op.execute(
        triggers("saga_choreography", "sagas", SAGAS, ChangedColumns("saga_id", ("saga_id", "status", "changed")))
    )
    op.drop_index("ix_sagas_changed", "sagas", schema="saga_choreography")


def downgrade() -> None:
    op.create_index("ix_sagas_changed", "sagas", ["changed", "saga_id"], schema="saga_choreography")
    op.execute(drop_triggers("saga_choreography", "sagas"))
    op.execute(triggers("saga_choreography", "sagas", SAGAS, ChangedColumns("saga_id", ("saga_id", "status"))))
