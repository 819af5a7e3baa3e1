"""Running totals and the log of changed sagas, so that an audit costs what changed."""

from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, Changed, drop_triggers, prefill, triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

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
SAGA_OF_RESERVATION = Changed("saga_id", ("saga_id", "status"))
SAGA_OF_LINE = Changed("saga_id", ("product_id", "quantity", "unit_price_minor"))


def upgrade() -> None:
    op.execute(TABLES.format(schema="inventario"))
    op.execute(triggers("inventario", "reservations", RESERVATIONS, SAGA_OF_RESERVATION, more=OF_RESERVATIONS))
    op.execute(triggers("inventario", "reservation_lines", LINES, SAGA_OF_LINE))
    op.execute(prefill("inventario", {"reservations": RESERVATIONS, "reservation_lines": LINES}))


def downgrade() -> None:
    op.execute(drop_triggers("inventario", "reservations") + drop_triggers("inventario", "reservation_lines"))
    op.execute(DROP_TABLES.format(schema="inventario"))
