"""The barrier's table and its SQL statements, each for many sagas, in the order of their ids."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, Uuid, func
from sqlalchemy.dialects.postgresql import JSON

from shared.database.prepared import prepared
from shared.errors import DomainError
from shared.http.answers import problem_of
from shared.json_codec import dumps, loads
from shared.purging.retention import retention_of, too_old_sql
from shared.saga.repetition import NamedFields, RepeatedOtherwise, contradiction

ACTION, COMPENSATION = "action", "compensation"

INSERT = """
INSERT INTO {table} (saga_id, step, direction, request)
SELECT saga_id, :step, direction, request
  FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:directions AS text[]), CAST(:requests AS json[]))
       AS entry (saga_id, direction, request)
 WHERE NOT {too_old}
ON CONFLICT DO NOTHING
RETURNING saga_id, direction
"""
FIND = """
SELECT saga_id, direction, request, refusal FROM {table}
 WHERE saga_id = ANY(CAST(:saga_ids AS uuid[])) AND step = :step
"""
CLOSED = """
SELECT 1 FROM {table}
 WHERE saga_id = :saga_id AND step = :step AND (direction = 'compensation' OR refusal IS NOT NULL) LIMIT 1
"""
REFUSE = """
UPDATE {table} AS entry SET refusal = refused.problem
  FROM unnest(CAST(:saga_ids AS uuid[]), CAST(:problems AS json[])) AS refused (saga_id, problem)
 WHERE entry.saga_id = refused.saga_id AND step = :step AND direction = 'action'
"""
DELETE = """
DELETE FROM {table} AS entry
 USING unnest(CAST(:saga_ids AS uuid[]), CAST(:directions AS text[])) AS written (saga_id, direction)
 WHERE entry.saga_id = written.saga_id AND step = :step AND entry.direction = written.direction
"""


@dataclass
class RecordedStep:
    """What the rows of a step say of one saga, compared with the present request."""

    saga_id: UUID
    step: str
    compensated: bool = False
    refusal: NamedFields | None = None
    contradiction: RepeatedOtherwise | None = None


class BarrierStore:
    """The barrier's rows of one participant."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "barrier",
            metadata,
            Column("saga_id", Uuid, primary_key=True),
            Column("step", String(40), primary_key=True),
            Column("direction", String(12), primary_key=True),
            Column("request", JSON(none_as_null=True)),
            Column("refusal", JSON),
            Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        names = {"table": self.table.fullname, "too_old": too_old_sql("saga_id", ":kept_seconds")}
        self._insert, self._find, self._closed, self._refuse, self._delete = (
            prepared(statement.format(**names)) for statement in (INSERT, FIND, CLOSED, REFUSE, DELETE)
        )

    def insert(
        self, connection: Connection, step: str, rows: Mapping[tuple[UUID, str], NamedFields | None]
    ) -> dict[UUID, set[str]]:
        """Insert rows; return the inserted directions by saga. Waits for a transaction that writes such a row.

        An existing row stays as it is. No row is inserted for a saga so old that its rows may have been purged.
        """
        keys = sorted(rows)
        values = {
            "step": step,
            "saga_ids": [saga_id for saga_id, _ in keys],
            "directions": [direction for _, direction in keys],
            "requests": [dumps(rows[key]) if rows[key] else None for key in keys],
            "kept_seconds": retention_of(connection).steps,
        }
        inserted = defaultdict[UUID, set[str]](set)
        for saga_id, direction in connection.execute(self._insert, values):
            inserted[saga_id].add(direction)
        return inserted

    def find(self, connection: Connection, step: str, requests: Mapping[UUID, NamedFields]) -> dict[UUID, RecordedStep]:
        """Return what is known of these sagas, as far as they have rows."""
        if not requests:
            return {}
        found: dict[UUID, RecordedStep] = {}
        rows = connection.execute(self._find, {"step": step, "saga_ids": list(requests)})
        for saga_id, direction, request, refusal in rows:
            known = found.setdefault(saga_id, RecordedStep(saga_id, step))
            known.compensated = known.compensated or direction == COMPENSATION
            known.refusal = refusal or known.refusal
            repeated = loads(dumps(requests[saga_id]))
            known.contradiction = known.contradiction or contradiction(saga_id, step, request or {}, repeated)
        return found

    def closed(self, connection: Connection, step: str, saga_id: UUID) -> bool:
        """Whether the step was compensated or refused."""
        return connection.scalar(self._closed, {"step": step, "saga_id": saga_id}) is not None

    def refuse(self, connection: Connection, step: str, refusals: Mapping[UUID, DomainError]) -> None:
        """Store these refusals with their sagas' actions."""
        if refusals:
            problems = [dumps(problem_of(error)) for error in refusals.values()]
            connection.execute(self._refuse, {"step": step, "saga_ids": list(refusals), "problems": problems})

    def delete(self, connection: Connection, step: str, rows: Iterable[tuple[UUID, str]]) -> None:
        """Delete these rows, which this transaction inserted."""
        keys = list(rows)
        if keys:
            values = {"saga_ids": [saga_id for saga_id, _ in keys], "directions": [direction for _, direction in keys]}
            connection.execute(self._delete, {"step": step, **values})
