"""The first tables."""

import sqlalchemy as sa
from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, ChangedColumns, drop_triggers, triggers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "saga_choreography"
SAGAS = ["SELECT 'sagas', status, 1 FROM {rows}"]
STATUS = ChangedColumns("saga_id", ("saga_id", "status", "changed"))


def upgrade() -> None:
    _create_sagas()
    _create_events()
    _create_operations()
    # Running totals and the log of changed sagas, so that an audit costs what changed.
    op.execute(TABLES.format(schema=SCHEMA))
    op.execute(triggers(SCHEMA, "sagas", SAGAS, STATUS))


def _create_sagas() -> None:
    op.create_table(
        "sagas",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("payment_method", sa.String(length=32), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=12), server_default="pending", nullable=False),
        sa.Column("retrying", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("failed_step", sa.String(length=40), nullable=True),
        sa.Column("first_effect_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "changed",
            sa.BigInteger(),
            server_default=sa.text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)"),
            nullable=False,
        ),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('completed', 'compensated')) = (due_at IS NULL)", name=op.f("ck_sagas_watched")
        ),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_sagas")),
        schema=SCHEMA,
    )
    op.create_index("ix_sagas_cart", "sagas", ["cart_id"], schema=SCHEMA)
    op.create_index("ix_sagas_due", "sagas", ["due_at"], schema=SCHEMA, postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index(
        "ix_sagas_ended", "sagas", ["ended_at"], schema=SCHEMA, postgresql_where=sa.text("ended_at IS NOT NULL")
    )
    op.create_index(
        "ix_sagas_failed",
        "sagas",
        ["failed_step", "saga_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("failed_step IS NOT NULL"),
    )
    op.create_index(
        "ix_sagas_live",
        "sagas",
        ["status", "cart_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("status NOT IN ('completed', 'compensated')"),
    )
    op.create_index("ix_sagas_method", "sagas", ["payment_method", "saga_id"], schema=SCHEMA)
    op.create_index(
        "ix_sagas_order", "sagas", ["order_id"], schema=SCHEMA, postgresql_where=sa.text("order_id IS NOT NULL")
    )
    op.create_index("ix_sagas_retrying", "sagas", ["saga_id"], schema=SCHEMA, postgresql_where=sa.text("retrying"))
    op.create_index("ix_sagas_status", "sagas", ["status", "saga_id"], schema=SCHEMA)
    op.create_index("ix_sagas_user", "sagas", ["user_id", "saga_id"], schema=SCHEMA)


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Uuid(), nullable=True),
        sa.Column("trace", sa.String(length=55), nullable=True),
        sa.Column("fault", sa.String(length=200), nullable=True),
        sa.Column("injected", sa.String(length=200), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_events_saga_id"), "events", ["saga_id"], schema=SCHEMA)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Uuid(), nullable=True),
        sa.Column("trace", sa.String(length=55), nullable=True),
        sa.Column("fault", sa.String(length=200), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_outbox_saga_id"), "outbox", ["saga_id"], schema=SCHEMA)
    op.create_index(
        "ix_outbox_unsent", "outbox", ["due_at"], schema=SCHEMA, postgresql_where=sa.text("sent_at IS NULL")
    )


def _create_operations() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_notes_operations",
        "notes",
        ["id"],
        schema=SCHEMA,
        postgresql_where=sa.text("\"by\" <> 'watchdog' AND kind <> 'redriven'"),
    )
    op.create_index(op.f("ix_notes_saga_id"), "notes", ["saga_id"], schema=SCHEMA)
    op.create_table(
        "redrives",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redrives")),
        schema=SCHEMA,
    )
    op.create_table(
        "purge_runs",
        sa.Column("purged", sa.String(length=40), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("purged", name=op.f("pk_purge_runs")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.execute(drop_triggers(SCHEMA, "sagas"))
    op.execute(DROP_TABLES.format(schema=SCHEMA))
    for name in ("purge_runs", "redrives", "notes", "outbox", "events", "sagas"):
        op.drop_table(name, schema=SCHEMA)
