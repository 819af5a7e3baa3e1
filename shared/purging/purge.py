"""Deletes rows that are past their retention: a job of each service's worker, over the service's list of tables.

A batch is one short transaction. It takes a bounded number of rows by an index, oldest first, and skips locked ones, so
it waits for no lock and can't deadlock. Any number of processes may purge at once. Its commits are asynchronous: rows
that a crash of the server brings back are deleted again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import BigInteger, Column, Connection, DateTime, MetaData, String, Table, Uuid, func, text

from shared.config import ServiceSettings
from shared.database.connections import Database, is_unavailable
from shared.database.listen import ShutdownSignal
from shared.messaging.outbox import commit_asynchronously
from shared.process import worker
from shared.purging.retention import DAY_SECONDS, OVERLAP_SECONDS, made_at_sql, tells_time_sql, too_old_sql

BATCH = 500  # rows in one transaction, which takes tens of milliseconds
# Between two batches while there are more: up to five thousand rows of each table a second, several times what is
# written under full load; half of the time the database has nothing to do.
PAUSE_SECONDS = 0.1
log = structlog.get_logger()


@dataclass(frozen=True)
class Purge:
    """The purgeable rows of one table: those whose `age` (a UUIDv7, or a time) is past retention.

    `days` names the setting. `since`, a time, must be set and past retention, too; `unless` is SQL that keeps a row.
    `parts` are columns of other tables: rows there with the key of a deleted row are deleted with it.
    """

    age: Column[Any]
    days: str
    since: Column[Any] | None = None
    unless: str | None = None
    parts: tuple[Column[Any], ...] = ()

    @property
    def table(self) -> Table:
        """The table of these rows."""
        return self.age.table

    @property
    def key(self) -> Column[Any]:
        """The key by which `parts` refer to a row."""
        return self.table.primary_key.columns[0]

    def seconds(self, settings: ServiceSettings) -> float:
        """Return the retention in seconds."""
        return float(getattr(settings, self.days)) * DAY_SECONDS + OVERLAP_SECONDS

    def delete(self, connection: Connection, seconds: float, limit: int) -> int:
        """Delete up to `limit` rows older than `seconds`, with their parts; return the number of rows."""
        rows = connection.execute(text(self.due_sql()), {"seconds": seconds, "limit": limit}).all()
        # In separate statements, which see the parts that were added before the rows were locked; none is added later.
        for column in self.parts:
            of_rows = f"DELETE FROM {column.table} WHERE {column.name} = ANY(CAST(:ids AS uuid[]))"  # noqa: S608  (our own)
            connection.execute(text(of_rows), {"ids": [row.key for row in rows]})
        itself = f"DELETE FROM {self.table} WHERE ctid = ANY(CAST(:places AS tid[]))"  # noqa: S608  (our own)
        connection.execute(text(itself), {"places": [row.place for row in rows]})
        return len(rows)

    def due_sql(self) -> str:
        """SQL: select and lock the next rows to delete; returns their row addresses (ctid)."""
        past = [too_old_sql(self.age.name, ":seconds") if self._by_id else self._past(self.age)]
        past += [] if self.since is None else [self._past(self.since)]
        past += [] if self.unless is None else [f"NOT ({self.unless})"]
        return (
            f"SELECT {self.key.name} AS key, CAST(ctid AS text) AS place FROM {self.table}"  # noqa: S608  (our own)
            f" WHERE {' AND '.join(past)} ORDER BY {self.age.name} LIMIT :limit FOR UPDATE SKIP LOCKED"
        )

    def oldest_sql(self) -> str:
        """SQL: the age in seconds of the oldest purgeable row."""
        born = made_at_sql(self.age.name) if self._by_id else f"extract(epoch FROM {self.age.name})"
        to_go = [tells_time_sql(self.age.name) if self._by_id else f"{self.age.name} IS NOT NULL"]
        to_go += [] if self.since is None else [f"{self.since.name} IS NOT NULL"]
        to_go += [] if self.unless is None else [f"NOT ({self.unless})"]
        return (
            f"SELECT extract(epoch FROM now()) - {born} FROM {self.table}"  # noqa: S608  (our own)
            f" WHERE {' AND '.join(to_go)} ORDER BY {self.age.name} LIMIT 1"
        )

    @property
    def _by_id(self) -> bool:
        return isinstance(self.age.type, Uuid)

    @staticmethod
    def _past(column: Column[Any]) -> str:
        return f"{column.name} < now() - make_interval(secs => CAST(:seconds AS float8))"


def runs_table(metadata: MetaData) -> Table:
    """Define the table that counts the rows purged of each table, and the time of its last purge."""
    return Table(
        "purge_runs",
        metadata,
        Column("purged", String(40), primary_key=True),
        Column("rows", BigInteger, nullable=False),
        Column("ran_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


class Purger:
    """The purging job of one process."""

    def __init__(self, db: Database, purges: Sequence[Purge], settings: ServiceSettings) -> None:
        self._db, self._purges, self._settings = db, purges, settings
        self._more = False

    def run_once(self) -> int:
        """Delete a batch of each table; return the number of rows. A table that fails is logged; the others go on."""
        deleted = [self._purge(each) for each in self._purges]
        self._more = BATCH in deleted
        return sum(deleted)

    def run(self, stop: ShutdownSignal) -> None:
        """Purge until the shutdown signal."""
        worker.run(stop, self._one_batch, self.idle_seconds, name="purge")

    def idle_seconds(self) -> float:
        """Seconds until the next purge."""
        return PAUSE_SECONDS if self._more else self._settings.purge_seconds

    def _one_batch(self) -> int:
        """Return 0, so that the loop waits after each batch."""
        self.run_once()
        return 0

    def _purge(self, purge: Purge) -> int:
        try:
            with self._db.transaction() as connection:
                commit_asynchronously(connection)
                rows = purge.delete(connection, purge.seconds(self._settings), BATCH)
                connection.execute(text(self._noted_sql()), {"purged": purge.table.name, "rows": rows})
        except Exception as error:
            if is_unavailable(error):
                raise
            log.exception("not purged", table=purge.table.name)
            return 0
        return rows

    def _noted_sql(self) -> str:
        return (
            f"INSERT INTO {self._db.service}.purge_runs AS run (purged, rows) VALUES (:purged, :rows)"  # noqa: S608  (our own)
            " ON CONFLICT (purged) DO UPDATE SET rows = run.rows + excluded.rows, ran_at = now()"
        )


def jobs(
    db: Database, purges: Sequence[Purge], settings: ServiceSettings, stop: ShutdownSignal
) -> list[Callable[[], None]]:
    """Return the purging job of a worker process; none when `PURGE_SECONDS` is 0."""
    if not settings.purge_seconds:
        return []
    return [partial(Purger(db, purges, settings).run, stop)]
