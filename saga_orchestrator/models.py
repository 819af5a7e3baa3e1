"""The orchestrator's own tables."""

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
    func,
    text,
)

from saga_orchestrator.config import Settings
from shared.db import Database, service_metadata

metadata = service_metadata("saga_orchestrator")
db = Database(metadata, Settings)

# `due_at` is when an executor may next take the saga: at once when it is new, after the back-off when it waits,
# at the end of the lease when somebody has it (`in_hand`), never (null) when it has ended. `epoch` counts the
# leases; a write that carries an old one changes no row.
sagas = Table(
    "sagas",
    metadata,
    Column("saga_id", Uuid, primary_key=True),
    Column("cart_id", Uuid, nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("payment_method", String(32), nullable=False),
    Column("billing_address", JSON, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("items", Text),  # JSON of our own making, in which prices stay exact
    Column("total_minor", BigInteger),
    Column("status", String(12), nullable=False, server_default="pending"),
    Column("state", JSON, nullable=False),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    Column("in_hand", Boolean, nullable=False, server_default=text("false")),
    Column("owner", String(64)),
    Column("due_at", DateTime(timezone=True), server_default=func.now()),
    Column("deadline_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint(
        "(status IN ('completed', 'compensated')) = (due_at IS NULL)",
        name="never_forgotten",  # an accepted saga is due at some time until it has ended
    ),
    Index("ix_sagas_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_sagas_cart", "cart_id"),
    Index("ix_sagas_status", "status", "saga_id"),
)

# Ids are made by whoever writes, so that a write repeated after a lost answer adds nothing.
timeline = Table(
    "timeline",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("saga_id", Uuid, ForeignKey("saga_orchestrator.sagas.saga_id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("step", String(40)),
    Column("direction", String(12)),
    Column("attempt", Integer),
    Column("outcome", String(10)),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("detail", Text),
    Column("executor", String(64)),
)
