"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Uuid(), nullable=True),
        sa.Column("trace", sa.String(length=55), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        schema="saga_choreography",
    )
    op.create_index(op.f("ix_events_saga_id"), "events", ["saga_id"], unique=False, schema="saga_choreography")
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        schema="saga_choreography",
    )
    op.create_index(op.f("ix_notes_saga_id"), "notes", ["saga_id"], unique=False, schema="saga_choreography")
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Uuid(), nullable=True),
        sa.Column("trace", sa.String(length=55), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        schema="saga_choreography",
    )
    op.create_index(op.f("ix_outbox_due_at"), "outbox", ["due_at"], unique=False, schema="saga_choreography")
    op.create_table(
        "redrives",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redrives")),
        schema="saga_choreography",
    )
    op.create_table(
        "sagas",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("payment_method", sa.String(length=32), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=12), server_default="pending", nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('completed', 'compensated', 'stuck')) = (due_at IS NULL)", name=op.f("ck_sagas_watched")
        ),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_sagas")),
        schema="saga_choreography",
    )
    op.create_index("ix_sagas_cart", "sagas", ["cart_id"], unique=False, schema="saga_choreography")
    op.create_index(
        "ix_sagas_due",
        "sagas",
        ["due_at"],
        unique=False,
        schema="saga_choreography",
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("ix_sagas_status", "sagas", ["status", "saga_id"], unique=False, schema="saga_choreography")


def downgrade() -> None:
    op.drop_index("ix_sagas_status", table_name="sagas", schema="saga_choreography")
    op.drop_index(
        "ix_sagas_due", table_name="sagas", schema="saga_choreography", postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.drop_index("ix_sagas_cart", table_name="sagas", schema="saga_choreography")
    op.drop_table("sagas", schema="saga_choreography")
    op.drop_table("redrives", schema="saga_choreography")
    op.drop_index(op.f("ix_outbox_due_at"), table_name="outbox", schema="saga_choreography")
    op.drop_table("outbox", schema="saga_choreography")
    op.drop_index(op.f("ix_notes_saga_id"), table_name="notes", schema="saga_choreography")
    op.drop_table("notes", schema="saga_choreography")
    op.drop_index(op.f("ix_events_saga_id"), table_name="events", schema="saga_choreography")
    op.drop_table("events", schema="saga_choreography")
