"""Reads sagas, their events and notes, and registers sagas. `recording.py` writes what events report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select, text

from saga_choreography.domain import Checkout, Limits
from saga_choreography.models import events, notes
from shared.database.prepared import prepared
from shared.ids import new_id
from shared.json_codec import dumps
from shared.purging.retention import retention_of, too_old_sql
from shared.saga.rows import SagaRow


@dataclass(frozen=True, kw_only=True)
class SagaFacts:
    """What the events of a saga report; `facts` is JSON (`projection.py`)."""

    saga_id: UUID
    cart_id: UUID
    facts: Mapping[str, Any]
    status: str


@dataclass(frozen=True, kw_only=True)
class StoredSaga(SagaRow, SagaFacts):
    """A saga's row, with the columns that people are shown."""

    retrying: bool
    failed_step: str | None


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """A stored event; `models.py` explains the columns."""

    id: UUID
    saga_id: UUID
    type: str
    payload: str
    occurred_at: datetime
    cause: UUID | None
    trace: str | None
    fault: str | None
    injected: str | None
    taken_at: datetime | None
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class Note:
    """A request of an operator, or an action of the watchdog."""

    id: UUID
    saga_id: UUID
    kind: str
    at: datetime
    by: str
    detail: str | None
    reason: str | None


@dataclass(frozen=True)
class SagaHistory:
    """All events and notes of a saga."""

    events: Sequence[StoredEvent]
    notes: Sequence[Note]


# Rows that exist are neither changed nor locked here: `recording.py` inserts rows and then locks older ones, so the
# opposite order would lead to deadlocks with it.
_REGISTER = prepared(f"""
INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, user_id, payment_method, deadline_at, due_at)
SELECT saga_id, cart_id, CAST('{{}}' AS json), user_id, payment_method,
       now() + make_interval(secs => CAST(:forward AS float8)),
       now() + make_interval(secs => CAST(:first AS float8))
  FROM json_to_recordset(CAST(:rows AS json))
    AS checkout (saga_id uuid, cart_id uuid, user_id text, payment_method text)
 WHERE NOT {too_old_sql("saga_id", ":kept")}
 ORDER BY saga_id
ON CONFLICT DO NOTHING
RETURNING saga_id
""")  # noqa: S608  (our own)
_FIND = f"SELECT {StoredSaga.columns()} FROM saga_choreography.sagas"  # noqa: S608  (our own)
_FIND_ALL = prepared(f"{_FIND} WHERE saga_id = ANY(CAST(:ids AS uuid[]))")
_LOCK = text(f"{_FIND} WHERE saga_id = :saga_id FOR NO KEY UPDATE")


def register(connection: Connection, checkouts: Sequence[Checkout], limits: Limits) -> set[UUID]:
    """Return these sagas' newly inserted rows; see `register`."""
    times = {"forward": limits.forward_seconds, "first": limits.first_seconds, "kept": retention_of(connection).sagas}
    rows = dumps([vars(each) for each in checkouts])
    return set(connection.scalars(_REGISTER, {"rows": rows, **times}))


def find(connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, StoredSaga]:
    """Return these sagas by id, without those that do not exist."""
    rows = connection.execute(_FIND_ALL, {"ids": list(saga_ids)}).mappings()
    return {row["saga_id"]: StoredSaga(**row) for row in rows}


def lock(connection: Connection, saga_id: UUID) -> StoredSaga | None:
    """Lock a saga's row and return it; None if it does not exist."""
    row = connection.execute(_LOCK, {"saga_id": saga_id}).mappings().first()
    return None if row is None else StoredSaga(**row)


def history_of(connection: Connection, saga_id: UUID) -> SagaHistory:
    """Return all events and notes of a saga, in no order."""
    happened = connection.execute(select(events).where(events.c.saga_id == saga_id)).mappings()
    done = connection.execute(select(notes).where(notes.c.saga_id == saga_id)).mappings()
    return SagaHistory([StoredEvent(**row) for row in happened], [Note(**row) for row in done])


def events_of(connection: Connection, saga_ids: Sequence[UUID]) -> list[StoredEvent]:
    """Return all events of these sagas, in no order."""
    rows = connection.execute(select(events).where(events.c.saga_id.in_(saga_ids))).mappings()
    return [StoredEvent(**row) for row in rows]


def note(connection: Connection, saga_ids: Sequence[UUID], kind: str, by: str, **said: str) -> None:
    """Store a note about sagas: what was done, by whom, and a `detail` or a `reason`."""
    common = {"kind": kind, "by": by, "detail": None, "reason": None, **said}
    if saga_ids:
        connection.execute(insert(notes), [{"id": new_id(), "saga_id": saga_id, **common} for saga_id in saga_ids])
