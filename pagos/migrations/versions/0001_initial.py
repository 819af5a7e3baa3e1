"""The first tables."""

import sqlalchemy as sa
from alembic import op

from shared.auditing.triggers import (
    DROP_TABLES,
    TABLES,
    ChangedColumns,
    drop_row_triggers,
    drop_triggers,
    row_triggers,
    triggers,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "pagos"
# What payments and wallets say, less what the ledger says of the same, is zero for each of them.
PAYMENTS = [
    "SELECT 'payments', status, 1 FROM {rows}",
    """SELECT CASE WHEN saga_id IS NULL THEN 'other_captured' ELSE 'saga_captured' END, currency, amount_minor
    FROM {rows} WHERE status <> 'declined'""",
    """SELECT CASE WHEN saga_id IS NULL THEN 'other_refunded' ELSE 'saga_refunded' END, currency, refunded_minor
    FROM {rows} WHERE status <> 'declined'""",
    """SELECT 'unbooked_payments', id || ' ' || currency,
        CASE WHEN status <> 'declined' THEN amount_minor ELSE 0 END - refunded_minor FROM {rows}""",
]
WALLETS = [
    "SELECT 'wallets', currency, balance_minor FROM {rows}",
    "SELECT 'unbooked_wallets', 'wallet:' || user_id || ' ' || currency, balance_minor FROM {rows}",
]
SIDES = """(SELECT debit_account AS account, currency, amount_minor AS minor FROM {rows}
    UNION ALL SELECT credit_account, currency, -amount_minor FROM {rows}) AS sides"""
ACCOUNTS = "SELECT 'accounts', currency || ' ' || regexp_replace(account, '^wallet:.*', 'wallets'), minor FROM "
ACCOUNTS_OF_WALLETS = "SELECT 'unbooked_wallets', account || ' ' || currency, minor FROM "
TRANSFERS = [
    ACCOUNTS + SIDES,
    ACCOUNTS_OF_WALLETS + SIDES + " WHERE account LIKE 'wallet:%'",
    """SELECT 'unbooked_payments', payment_id || ' ' || currency,
        CASE 'revenue' WHEN credit_account THEN -amount_minor WHEN debit_account THEN amount_minor ELSE 0 END
    FROM {rows} WHERE payment_id IS NOT NULL""",
]
SAGA_OF_PAYMENT = ChangedColumns("id", ("saga_id", "cart_id", "status", "amount_minor", "refunded_minor", "currency"))
# An auditor reads from the barrier whether a payment was compensated, so a change of that by hand is logged, too. A row
# that is purged is of no interest.
UNDONE = "{row}.step = 'process_payment' AND {row}.direction = 'compensation'"
OF_NEW = UNDONE.format(row="NEW")
COMPENSATED = {"INSERT": OF_NEW, "UPDATE OF saga_id, step, direction": f"{UNDONE.format(row='OLD')} OR {OF_NEW}"}


def upgrade() -> None:
    _create_payments()
    _create_ledger()
    _create_barrier()
    _create_messaging()
    _create_operations()
    # Running totals and the log of changed sagas, so that an audit costs what changed.
    op.execute(TABLES.format(schema=SCHEMA))
    op.execute(triggers(SCHEMA, "payments", PAYMENTS, SAGA_OF_PAYMENT))
    op.execute(triggers(SCHEMA, "wallets", WALLETS, None))
    op.execute(triggers(SCHEMA, "ledger_transfers", TRANSFERS, None))
    op.execute(row_triggers(SCHEMA, "barrier", COMPENSATED))


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("saga_id", sa.Uuid(), nullable=True),
        sa.Column("cart_id", sa.Uuid(), nullable=True),
        sa.Column("merchant_id", sa.String(length=64), nullable=True),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("payment_method", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "payment_method <> 'wallet' OR user_id IS NOT NULL", name=op.f("ck_payments_wallet_has_user")
        ),
        sa.CheckConstraint(
            "refunded_minor = CASE status WHEN 'refunded' THEN amount_minor ELSE 0 END",
            name=op.f("ck_payments_refund_fits_status"),
        ),
        sa.CheckConstraint("status <> 'declined' OR reason IS NOT NULL", name=op.f("ck_payments_decline_has_reason")),
        sa.CheckConstraint("status IN ('captured', 'declined', 'refunded')", name=op.f("ck_payments_status")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payments_some")),
        sa.CheckConstraint(
            "num_nulls(saga_id, cart_id) = 0 AND num_nonnulls(merchant_id, order_id) = 0 AND user_id IS NOT NULL"
            " OR num_nonnulls(saga_id, cart_id) = 0 AND num_nulls(merchant_id, order_id) = 0",
            name=op.f("ck_payments_saga_or_merchant"),
        ),
        sa.CheckConstraint("refunded_minor BETWEEN 0 AND amount_minor", name=op.f("ck_payments_refund_within_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("saga_id", name=op.f("uq_payments_saga_id")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_payments_cart_id"), "payments", ["cart_id"], schema=SCHEMA)


def _create_ledger() -> None:
    op.create_table(
        "wallets",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("balance_minor >= 0", name=op.f("ck_wallets_never_short")),
        sa.PrimaryKeyConstraint("user_id", "currency", name=op.f("pk_wallets")),
        schema=SCHEMA,
    )
    op.create_table(
        "ledger_transfers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("debit_account", sa.String(length=80), nullable=False),
        sa.Column("credit_account", sa.String(length=80), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(payment_id IS NULL) = (kind = 'deposit')", name=op.f("ck_ledger_transfers_payment_or_deposit")
        ),
        sa.CheckConstraint("kind IN ('capture', 'refund', 'deposit')", name=op.f("ck_ledger_transfers_kind")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_ledger_transfers_some")),
        sa.CheckConstraint("debit_account <> credit_account", name=op.f("ck_ledger_transfers_two_accounts")),
        sa.ForeignKeyConstraint(["payment_id"], ["pagos.payments.id"], name=op.f("fk_ledger_transfers_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transfers")),
        sa.UniqueConstraint("payment_id", "kind", name=op.f("uq_ledger_transfers_payment_id_kind")),
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
    op.execute(drop_row_triggers(SCHEMA, "barrier"))
    for table in ("payments", "wallets", "ledger_transfers"):
        op.execute(drop_triggers(SCHEMA, table))
    op.execute(DROP_TABLES.format(schema=SCHEMA))
    for name in (
        "fault_firings",
        "fault_switches",
        "purge_runs",
        "outbox",
        "inbox",
        "idempotency_keys",
        "barrier",
        "ledger_transfers",
        "wallets",
        "payments",
    ):
        op.drop_table(name, schema=SCHEMA)
