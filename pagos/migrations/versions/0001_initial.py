"""Payments, wallets, ledger, barrier and idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "barrier",
        sa.Column("saga_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=12), nullable=False),
        sa.Column("refusal", postgresql.JSON(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("saga_id", "step", "direction", name=op.f("pk_barrier")),
        schema="pagos",
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
        schema="pagos",
    )
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
        schema="pagos",
    )
    op.create_index(op.f("ix_payments_cart_id"), "payments", ["cart_id"], unique=False, schema="pagos")
    op.create_table(
        "wallets",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("balance_minor >= 0", name=op.f("ck_wallets_never_short")),
        sa.PrimaryKeyConstraint("user_id", "currency", name=op.f("pk_wallets")),
        schema="pagos",
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
        schema="pagos",
    )


def downgrade() -> None:
    op.drop_table("ledger_transfers", schema="pagos")
    op.drop_table("wallets", schema="pagos")
    op.drop_index(op.f("ix_payments_cart_id"), table_name="payments", schema="pagos")
    op.drop_table("payments", schema="pagos")
    op.drop_table("idempotency_keys", schema="pagos")
    op.drop_table("barrier", schema="pagos")
