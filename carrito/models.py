"""carrito's own tables."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    false,
    func,
    text,
)

from carrito.config import Settings
from shared.auditing.log import AuditLog
from shared.database.connections import Database, service_metadata
from shared.fault_switches.store import FaultStore
from shared.http.idempotency import keys_table
from shared.messaging.inbox import Inbox
from shared.messaging.outbox import Outbox
from shared.purging.purge import runs_table
from shared.saga.barrier import Barrier

metadata = service_metadata("carrito")
db = Database(metadata, Settings)
barrier = Barrier(metadata)
inbox = Inbox(metadata)
outbox = Outbox(metadata)
idempotency_keys = keys_table(metadata)
audit_log = AuditLog(metadata)
purge_runs = runs_table(metadata)
fault_store = FaultStore(metadata)

# `saga_id` is set while a saga has the cart, and stays when the cart is checked out: a cart has at most one live saga.
# `idle_since` is when a line was last added or removed, for the purge; null once a saga has had the cart.
carts = Table(
    "carts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("status", String(12), nullable=False, server_default="open"),
    Column("saga_id", Uuid, unique=True),
    Column("idle_since", DateTime(timezone=True), server_default=func.now()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('open', 'checking_out', 'checked_out')", name="status"),
    CheckConstraint("(status = 'open') = (saga_id IS NULL)", name="one_saga"),
    CheckConstraint("saga_id IS NULL OR idle_since IS NULL", name="kept"),
    Index("ix_carts_idle", "idle_since", postgresql_where=text("idle_since IS NOT NULL")),
)

# The price is inventario's when the product was last added. The lines of a cart that is not open do not change.
cart_items = Table(
    "cart_items",
    metadata,
    Column("cart_id", Uuid, ForeignKey("carrito.carts.id"), primary_key=True),
    Column("product_id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    CheckConstraint("quantity > 0", name="some"),
)

# What a saga is about, fixed when its cart was frozen; the row stays when the cart is opened again. Style and
# payment method are null for an order that was made without a checkout, and so are ids that its client did not choose.
# `handover_due_at` is set until the checkout was handed over to its saga service or, if that had the cart frozen itself
# (`by_saga_service`), until that service says that it has the saga.
checkouts = Table(
    "checkouts",
    metadata,
    Column("saga_id", Uuid, primary_key=True),
    Column("cart_id", Uuid, nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("saga_pattern", String(16)),
    Column("payment_method", String(32)),
    Column("billing_address", JSON(none_as_null=True)),
    Column("payment_id", Uuid),
    Column("order_id", Uuid),
    Column("items", Text, nullable=False),  # JSON written by carrito, in which prices are exact
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("trace", String(55)),
    Column("fault", String(200)),  # the faults to inject into its saga
    Column("handover_due_at", DateTime(timezone=True)),
    Column("by_saga_service", Boolean, nullable=False, server_default=false()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(
        "ix_checkouts_handover",
        "saga_pattern",
        "by_saga_service",
        "handover_due_at",
        postgresql_where=text("handover_due_at IS NOT NULL"),
    ),
)

orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("saga_id", Uuid, nullable=False, unique=True),
    Column("cart_id", Uuid, ForeignKey("carrito.carts.id"), nullable=False, index=True),
    Column("user_id", String(64), nullable=False),
    Column("payment_id", Uuid),
    Column("billing_address", JSON(none_as_null=True)),
    Column("items", Text, nullable=False),  # JSON written by carrito, in which prices are exact
    Column("total_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("status", String(10), nullable=False, server_default="pending"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('pending', 'confirmed', 'cancelled')", name="status"),
)
