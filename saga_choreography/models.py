"""The choreography's own tables."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    String,
    Table,
    Text,
    Uuid,
    false,
    func,
    text,
)

from saga_choreography.config import Settings
from shared.auditing.log import AuditLog
from shared.database.connections import Database, service_metadata
from shared.messaging.outbox import Outbox
from shared.purging.purge import runs_table
from shared.saga.tables import THIS_TRANSACTION

metadata = service_metadata("saga_choreography")
db = Database(metadata, Settings)
outbox = Outbox(metadata)
audit_log = AuditLog(metadata)
purge_runs = runs_table(metadata)

# The read model: a saga, computed from its events. `facts` has their merged contents (`projection.py`). `due_at` is
# when the watchdog next checks the saga; null when it has ended.
sagas = Table(
    "sagas",
    metadata,
    Column("saga_id", Uuid, primary_key=True),
    Column("cart_id", Uuid, nullable=False),
    Column("user_id", String(64)),  # both are null until `checkout.initiated` has arrived
    Column("payment_method", String(32)),
    Column("order_id", Uuid),
    Column("facts", JSON, nullable=False),
    Column("status", String(12), nullable=False, server_default="pending"),
    Column(
        "retrying", Boolean, nullable=False, server_default=false()
    ),  # its events were sent again, and none has come since
    Column("failed_step", String(40)),
    Column("first_effect_at", DateTime(timezone=True)),
    Column("changed", BigInteger, nullable=False, server_default=text(THIS_TRANSACTION)),  # `shared/saga/changes.py`
    Column("deadline_at", DateTime(timezone=True), nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("due_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint(
        "(status IN ('completed', 'compensated')) = (due_at IS NULL)",
        name="watched",  # the watchdog checks a saga until it has ended, also when it is stuck
    ),
    Index("ix_sagas_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_sagas_cart", "cart_id"),
    Index("ix_sagas_status", "status", "saga_id"),
    Index("ix_sagas_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    Index("ix_sagas_user", "user_id", "saga_id"),
    Index("ix_sagas_method", "payment_method", "saga_id"),
    Index("ix_sagas_order", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    Index("ix_sagas_retrying", "saga_id", postgresql_where=text("retrying")),
    Index("ix_sagas_failed", "failed_step", "saga_id", postgresql_where=text("failed_step IS NOT NULL")),
    Index("ix_sagas_live", "status", "cart_id", postgresql_where=text("status NOT IN ('completed', 'compensated')")),
)

# Every event, once: it is the inbox, and timelines and rebuilt sagas are made from it.
events = Table(
    "events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("saga_id", Uuid, nullable=False, index=True),
    Column("type", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("cause", Uuid),
    Column("trace", String(55)),
    Column("fault", String(200)),  # the faults to inject into its saga
    Column("injected", String(200)),  # the faults injected into the step that it reports, or into itself
    Column("taken_at", DateTime(timezone=True)),  # when its publisher received its cause
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Requests of operators, and actions of the watchdog.
notes = Table(
    "notes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("saga_id", Uuid, nullable=False, index=True),
    Column("kind", String(24), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("by", String(200), nullable=False),
    Column("detail", Text),
    Column("reason", String(200)),
    Index(  # for operators' requests (`saga_store.py`)
        "ix_notes_operations", "id", postgresql_where=text("\"by\" <> 'watchdog' AND kind <> 'redriven'")
    ),
)

# Redrives of dead letters: inserted before the letters are redelivered, completed afterwards.
redrives = Table(
    "redrives",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("requested_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("by", String(200), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("wanted", JSON, nullable=False),  # the filter
    Column("moved", JSON, nullable=False),  # the letters
    Column("finished_at", DateTime(timezone=True)),
)
