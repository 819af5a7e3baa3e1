"""Running totals and a log of changed sagas, so that the cost of an audit depends only on what changed.

Triggers (`triggers.py`) write both in the transaction of the change, whoever makes it. Each change inserts an amount,
so no two transactions wait for the same row; a job adds the amounts up now and then (`fold`).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    Numeric,
    Table,
    Text,
    TextClause,
    Uuid,
    func,
    text,
)

from shared.database.connections import Database
from shared.database.listen import ShutdownSignal
from shared.process import worker

FOLD_ROWS = 50_000  # amounts added up in one transaction, which takes tenths of a second
FOLD_SECONDS = 30.0  # between two times; readers add up the amounts that are left
CHANGES_KEPT_DAYS = 35  # a monthly audit still reads only what changed
PURGE_ROWS = 10_000  # changes deleted in one transaction
NIL = UUID(int=0)

TOTALS = """
SELECT topic, key, CAST(sum(amount) AS bigint)
  FROM (SELECT topic, key, amount FROM {schema}.audit_totals
        UNION ALL SELECT topic, key, amount FROM {schema}.audit_deltas) AS amounts
 GROUP BY topic, key HAVING sum(amount) <> 0
"""
# One process at a time: two would wait for each other's rows.
TURN = "SELECT pg_try_advisory_xact_lock(hashtext('{schema}.audit_totals'))"
FOLD = """
WITH taken AS (
    DELETE FROM {schema}.audit_deltas
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM {schema}.audit_deltas LIMIT :limit)) RETURNING topic, key, amount
), added AS (
    INSERT INTO {schema}.audit_totals (topic, key, amount)
    SELECT topic, key, sum(amount) FROM taken GROUP BY topic, key HAVING sum(amount) <> 0
    ON CONFLICT (topic, key) DO UPDATE SET amount = audit_totals.amount + excluded.amount
)
SELECT count(*) FROM taken
"""
DROP_ZEROS = "DELETE FROM {schema}.audit_totals WHERE amount = 0"
# The log begins after the last deleted change; an auditor that has read less must examine all sagas.
PURGE = """
WITH gone AS (
    DELETE FROM {schema}.audit_changes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM (SELECT ctid, changed_at FROM {schema}.audit_changes ORDER BY xid, saga_id LIMIT :limit) AS old
         WHERE changed_at < now() - make_interval(days => :days)
    )) RETURNING xid
), begins AS (
    INSERT INTO {schema}.audit_totals (topic, key, amount)
    SELECT 'log', 'begins', max(xid) + 1 FROM gone HAVING count(*) > 0
    ON CONFLICT (topic, key) DO UPDATE SET amount = excluded.amount
)
SELECT count(*) FROM gone
"""
# Identifies the log: on another server, in another database or after a restore, positions are invalid.
PLACE = """
SELECT concat_ws('-', system_identifier, timeline_id, oid)
  FROM pg_control_system(), pg_control_checkpoint(), pg_database WHERE datname = current_database()
"""
# All transactions that have not ended have this id or a higher one.
NEXT = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
BEGINS = "SELECT amount FROM {schema}.audit_totals WHERE topic = 'log' AND key = 'begins'"
CHANGES = """
SELECT xid, saga_id FROM {schema}.audit_changes WHERE (xid, saga_id) > (:xid, :saga_id) ORDER BY xid, saga_id
 LIMIT :limit
"""


@dataclass(frozen=True)
class Changes:
    """A page of the log. The next audit reads on from `next_xid`, and this one from `last`, if there is more."""

    place: str
    begins: int
    next_xid: int
    saga_ids: tuple[UUID, ...]
    last: tuple[int, UUID] | None


class AuditLog:
    """One service's tables of totals and changes."""

    def __init__(self, metadata: MetaData) -> None:
        amount = [Column("topic", Text, nullable=False), Column("key", Text, nullable=False)]
        self.totals_table = Table(
            "audit_totals",
            metadata,
            Column("topic", Text, primary_key=True),
            Column("key", Text, primary_key=True),
            Column("amount", Numeric, nullable=False),
            Index("ix_audit_totals_zero", "topic", postgresql_where=text("amount = 0")),
        )
        self.deltas_table = Table("audit_deltas", metadata, *amount, Column("amount", BigInteger, nullable=False))
        self.changes_table = Table(
            "audit_changes",
            metadata,
            Column("xid", BigInteger, nullable=False),
            Column("saga_id", Uuid, nullable=False),
            Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
            Index("ix_audit_changes_xid", "xid", "saga_id"),
        )
        self._schema = str(metadata.schema)

    def totals(self, connection: Connection) -> Mapping[str, dict[str, int]]:
        """Return every total that isn't zero, by topic and key."""
        found = defaultdict[str, dict[str, int]](dict)
        for topic, key, amount in connection.execute(self._sql(TOTALS)):
            found[topic][key] = amount
        return found

    def begins(self, connection: Connection) -> int:
        """Return the first transaction whose changes the log has; earlier changes were deleted."""
        return int(connection.scalar(self._sql(BEGINS)) or 0)

    def changes(self, connection: Connection, xid: int | None, saga_id: UUID, limit: int) -> Changes:
        """Return the sagas that changed in this transaction or a later one, after this saga of that transaction."""
        begins = self.begins(connection)
        place, next_xid = connection.scalar(text(PLACE)), connection.scalar(text(NEXT))
        if xid is None:
            return Changes(str(place), begins, int(next_xid or 0), (), None)
        rows = connection.execute(self._sql(CHANGES), {"xid": xid, "saga_id": saga_id, "limit": limit}).all()
        ids = tuple(dict.fromkeys(row.saga_id for row in rows))
        last = (rows[-1].xid, rows[-1].saga_id) if len(rows) == limit else None
        return Changes(str(place), begins, int(next_xid or 0), ids, last)

    def fold(self, connection: Connection, limit: int = FOLD_ROWS) -> int:
        """Add amounts up to totals; return how many. Does nothing while another process does it."""
        if not connection.scalar(self._sql(TURN)):
            return 0
        count = connection.scalar(self._sql(FOLD), {"limit": limit}) or 0
        if count:
            connection.execute(self._sql(DROP_ZEROS))
        return count

    def purge(self, connection: Connection, days: float = CHANGES_KEPT_DAYS) -> int:
        """Delete older changes; return how many."""
        if not connection.scalar(self._sql(TURN)):
            return 0
        return connection.scalar(self._sql(PURGE), {"limit": PURGE_ROWS, "days": days}) or 0

    def run_once(self, db: Database) -> int:
        """Fold and purge a bounded number of rows; return 0 when nothing is left to do for now."""
        with db.transaction() as connection:
            folded = self.fold(connection)
        with db.transaction() as connection:
            forgotten = self.purge(connection)
        return int(folded == FOLD_ROWS or forgotten == PURGE_ROWS)

    def job(self, db: Database, stop: ShutdownSignal) -> Callable[[], None]:
        """Return the job of a worker process that folds and purges until the shutdown signal."""
        return partial(worker.run, stop, partial(self.run_once, db), lambda: FOLD_SECONDS)

    def _sql(self, statement: str) -> TextClause:
        return text(statement.format(schema=self._schema))
