"""The first tables."""

import sqlalchemy as sa
from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, ChangedColumns, drop_triggers, triggers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "inventario"
RESERVATIONS = ["SELECT 'reservations', status, 1 FROM {rows}"]
# What is held and sold of each product, and what the sales are worth. A line is counted when it comes, goes or changes,
# and with the others of its reservation when that changes its status. A reservation that comes or goes counts lines
# too, but for those of its own transaction: when both come together, the lines have counted themselves.
LINES = [
    """SELECT reservations.status || '_lines', CAST(lines.product_id AS text), lines.quantity
    FROM {rows} AS lines JOIN inventario.reservations USING (saga_id) WHERE status IN ('held', 'committed')""",
    """SELECT 'committed_minor', '', lines.quantity * lines.unit_price_minor
    FROM {rows} AS lines JOIN inventario.reservations USING (saga_id) WHERE status = 'committed'""",
]
LINES_OF_RESERVATIONS = [
    """SELECT reservations.status || '_lines', CAST(product_id AS text), quantity
    FROM {rows} AS reservations JOIN inventario.reservation_lines AS lines USING (saga_id)
    WHERE status IN ('held', 'committed')""",
    """SELECT 'committed_minor', '', quantity * unit_price_minor
    FROM {rows} AS reservations JOIN inventario.reservation_lines AS lines USING (saga_id)
    WHERE status = 'committed'""",
]
OLD_LINES = [f"{each} AND lines.xmin <> CAST(pg_current_xact_id() AS xid)" for each in LINES_OF_RESERVATIONS]
OF_RESERVATIONS = {"insert": OLD_LINES, "update": LINES_OF_RESERVATIONS, "delete": LINES_OF_RESERVATIONS}
SAGA_OF_RESERVATION = ChangedColumns("saga_id", ("saga_id", "status"))
SAGA_OF_LINE = ChangedColumns("saga_id", ("product_id", "quantity", "unit_price_minor"))


def upgrade() -> None:
    _create_products()
    _create_reservations()
    _create_barrier()
    _create_messaging()
    _create_operations()
    # Running totals and the log of changed sagas, so that an audit costs what changed.
    op.execute(TABLES.format(schema=SCHEMA))
    op.execute(triggers(SCHEMA, "reservations", RESERVATIONS, SAGA_OF_RESERVATION, more=OF_RESERVATIONS))
    op.execute(triggers(SCHEMA, "reservation_lines", LINES, SAGA_OF_LINE))


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("category", sa.String(length=200), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seeded", sa.BigInteger(), nullable=False),
        sa.Column("restocked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("available + held + sold = seeded + restocked", name=op.f("ck_products_none_lost")),
        sa.CheckConstraint("available >= 0 AND held >= 0 AND sold >= 0", name=op.f("ck_products_none_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("sku", name=op.f("uq_products_sku")),
        schema=SCHEMA,
    )


def _create_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("cart_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=10), server_default="held", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "status IN ('held', 'committed', 'released', 'expired')", name=op.f("ck_reservations_status")
        ),
        sa.PrimaryKeyConstraint("saga_id", name=op.f("pk_reservations")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_reservations_cart_id"), "reservations", ["cart_id"], schema=SCHEMA)
    op.create_index(
        "ix_reservations_holds",
        "reservations",
        ["expires_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("status = 'held'"),
    )
    op.create_table(
        "reservation_lines",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_lines_some")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["inventario.products.id"], name=op.f("fk_reservation_lines_product_id")
        ),
        sa.ForeignKeyConstraint(
            ["saga_id"], ["inventario.reservations.saga_id"], name=op.f("fk_reservation_lines_saga_id")
        ),
        sa.PrimaryKeyConstraint("saga_id", "product_id", name=op.f("pk_reservation_lines")),
        schema=SCHEMA,
    )


def _create_barrier() -> None:
    op.create_table(
        "barrier",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=12), nullable=False),
        sa.Column("request", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("refusal", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "direction", name=op.f("pk_barrier")),
        schema=SCHEMA,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("endpoint", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", "endpoint", name=op.f("pk_idempotency_keys")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"], schema=SCHEMA)


def _create_messaging() -> None:
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
        schema=SCHEMA,
    )
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
        "purge_runs",
        sa.Column("purged", sa.String(length=40), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("purged", name=op.f("pk_purge_runs")),
        schema=SCHEMA,
    )
    op.create_table(
        "fault_switches",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("point", sa.String(length=10), nullable=True),
        sa.Column("match", sa.JSON(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fault_switches")),
        schema=SCHEMA,
    )
    op.create_table(
        "fault_firings",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("fired", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("times", sa.Integer(), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "name", name=op.f("pk_fault_firings")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.execute(drop_triggers(SCHEMA, "reservations") + drop_triggers(SCHEMA, "reservation_lines"))
    op.execute(DROP_TABLES.format(schema=SCHEMA))
    for name in (
        "fault_firings",
        "fault_switches",
        "purge_runs",
        "outbox",
        "inbox",
        "idempotency_keys",
        "barrier",
        "reservation_lines",
        "reservations",
        "products",
    ):
        op.drop_table(name, schema=SCHEMA)
