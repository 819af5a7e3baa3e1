"""pagos's own tables. The constraints repeat the rules, so that no code path can break them."""

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from pagos.config import Settings
from shared.auditing.log import AuditLog
from shared.database.connections import Database, service_metadata
from shared.fault_switches.store import FaultStore
from shared.http.idempotency import keys_table
from shared.messaging.inbox import Inbox
from shared.messaging.outbox import Outbox
from shared.purging.purge import runs_table
from shared.saga.barrier import Barrier

metadata = service_metadata("pagos")
db = Database(metadata, Settings)
barrier = Barrier(metadata)
inbox = Inbox(metadata)
outbox = Outbox(metadata)
idempotency_keys = keys_table(metadata)
audit_log = AuditLog(metadata)
purge_runs = runs_table(metadata)
fault_store = FaultStore(metadata)

# Money is in minor units. A payment is a saga's or a merchant's; a saga has one at most.
payments = Table(
    "payments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("saga_id", Uuid, unique=True),
    Column("cart_id", Uuid, index=True),
    Column("merchant_id", String(64)),
    Column("order_id", String(64)),
    Column("user_id", String(64)),
    Column("amount_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("currency", CHAR(3), nullable=False),
    Column("payment_method", String(32), nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", Text),  # why it was declined or refunded
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("amount_minor > 0", name="some"),
    CheckConstraint("refunded_minor BETWEEN 0 AND amount_minor", name="refund_within_amount"),
    CheckConstraint("status IN ('captured', 'declined', 'refunded')", name="status"),
    CheckConstraint(
        "refunded_minor = CASE status WHEN 'refunded' THEN amount_minor ELSE 0 END", name="refund_fits_status"
    ),
    CheckConstraint("status <> 'declined' OR reason IS NOT NULL", name="decline_has_reason"),
    CheckConstraint(
        "num_nulls(saga_id, cart_id) = 0 AND num_nonnulls(merchant_id, order_id) = 0 AND user_id IS NOT NULL"
        " OR num_nonnulls(saga_id, cart_id) = 0 AND num_nulls(merchant_id, order_id) = 0",
        name="saga_or_merchant",
    ),
    CheckConstraint("payment_method <> 'wallet' OR user_id IS NOT NULL", name="wallet_has_user"),
)

wallets = Table(
    "wallets",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("currency", CHAR(3), primary_key=True),
    Column("balance_minor", BigInteger, nullable=False),
    CheckConstraint("balance_minor >= 0", name="never_short"),
)

# Double entry: a row is both sides of a movement, so every movement balances. A constraint allows one capture and one
# refund for each payment.
transfers = Table(
    "ledger_transfers",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("payment_id", Uuid, ForeignKey("pagos.payments.id")),
    Column("kind", String(10), nullable=False),
    Column("debit_account", String(80), nullable=False),
    Column("credit_account", String(80), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", CHAR(3), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("payment_id", "kind"),
    CheckConstraint("amount_minor > 0", name="some"),
    CheckConstraint("debit_account <> credit_account", name="two_accounts"),
    CheckConstraint("kind IN ('capture', 'refund', 'deposit')", name="kind"),
    CheckConstraint("(payment_id IS NULL) = (kind = 'deposit')", name="payment_or_deposit"),
)
