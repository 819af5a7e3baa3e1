"""Running totals and the log of changed sagas, so that an audit costs what changed."""

from alembic import op

from shared.auditing.triggers import DROP_TABLES, TABLES, Changed, drop_triggers, prefill, triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

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
SAGA_OF_PAYMENT = Changed("id", ("saga_id", "cart_id", "status", "amount_minor", "refunded_minor", "currency"))


def upgrade() -> None:
    op.execute(TABLES.format(schema="pagos"))
    op.execute(triggers("pagos", "payments", PAYMENTS, SAGA_OF_PAYMENT))
    op.execute(triggers("pagos", "wallets", WALLETS, None))
    op.execute(triggers("pagos", "ledger_transfers", TRANSFERS, None))
    op.execute(prefill("pagos", {"payments": PAYMENTS, "wallets": WALLETS, "ledger_transfers": TRANSFERS}))


def downgrade() -> None:
    for table in ("payments", "wallets", "ledger_transfers"):
        op.execute(drop_triggers("pagos", table))
    op.execute(DROP_TABLES.format(schema="pagos"))
