"""inventario's own tables. The constraints repeat the rules, so that no code path can break them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from inventario.config import Settings
from shared.auditing.log import AuditLog
from shared.database.connections import Database, service_metadata
from shared.fault_switches.store import FaultStore
from shared.http.idempotency import keys_table
from shared.messaging.inbox import Inbox
from shared.messaging.outbox import Outbox
from shared.purging.purge import runs_table
from shared.saga.barrier import Barrier

metadata = service_metadata("inventario")
db = Database(metadata, Settings)
barrier = Barrier(metadata)
inbox = Inbox(metadata)
outbox = Outbox(metadata)
idempotency_keys = keys_table(metadata)
audit_log = AuditLog(metadata)
purge_runs = runs_table(metadata)
fault_store = FaultStore(metadata)

products = Table(
    "products",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("sku", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("category", String(200), nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("available", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    Column("sold", BigInteger, nullable=False, server_default=text("0")),
    Column("seeded", BigInteger, nullable=False),
    Column("restocked", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("available >= 0 AND held >= 0 AND sold >= 0", name="none_negative"),
    CheckConstraint("available + held + sold = seeded + restocked", name="none_lost"),
)

# One row for each saga. The first update of its status decides between sale, release and expiry: it is the arbiter.
reservations = Table(
    "reservations",
    metadata,
    Column("saga_id", Uuid, primary_key=True),
    Column("cart_id", Uuid, nullable=False, index=True),
    Column("status", String(10), nullable=False, server_default="held"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    # When it was sold, and when its stock came back; null until then.
    Column("committed_at", DateTime(timezone=True)),
    Column("returned_at", DateTime(timezone=True)),
    # The order that it was sold for, in a choreographed saga: no deadline undoes such a sale.
    Column("order_id", Uuid),
    CheckConstraint("status IN ('held', 'committed', 'released', 'expired')", name="status"),
    Index("ix_reservations_holds", "expires_at", postgresql_where=text("status = 'held'")),
)

reservation_lines = Table(
    "reservation_lines",
    metadata,
    Column("saga_id", Uuid, ForeignKey("inventario.reservations.saga_id"), primary_key=True),
    Column("product_id", Integer, ForeignKey("inventario.products.id"), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    CheckConstraint("quantity > 0", name="some"),
)
