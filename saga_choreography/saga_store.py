"""The SQL statements for sagas, their events and notes. `recording.py` computes what events change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, String, Uuid, func, insert, literal, null, select, text, union_all

from saga_choreography.domain import Checkout, Limits
from saga_choreography.models import events, notes, redrives
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


@dataclass(frozen=True)
class LockedFacts:
    """A saga's facts and status, locked until the end of the transaction."""

    saga_id: UUID
    facts: Mapping[str, Any]
    status: str


ENDS = "choreography_ended"  # the channel of notifications of the sagas that end

# Also inserts a row for each new saga, with its cart, which every event names.
_STORE = prepared(f"""
WITH stored AS (
    INSERT INTO saga_choreography.events (
        id, saga_id, type, payload, occurred_at, cause, trace, fault, injected, taken_at
    )
    SELECT id, saga_id, type, payload, occurred_at, cause, trace, fault, injected, taken_at
      FROM json_to_recordset(CAST(:rows AS json)) AS came
           (id uuid, saga_id uuid, type text, payload text, occurred_at timestamptz, cause uuid, trace text,
            fault text, injected text, taken_at timestamptz)
     ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING id, saga_id, payload
), opened AS (
    INSERT INTO saga_choreography.sagas (saga_id, cart_id, facts, deadline_at, due_at)
    SELECT DISTINCT ON (saga_id) saga_id, CAST(CAST(payload AS json) ->> 'cart_id' AS uuid), CAST('{{}}' AS json),
           now() + make_interval(secs => CAST(:forward AS float8)),
           now() + make_interval(secs => CAST(:first AS float8))
      FROM stored WHERE NOT {too_old_sql("saga_id", ":kept")} ORDER BY saga_id
    ON CONFLICT DO NOTHING
)
SELECT id FROM stored
""")  # noqa: S608  (our own)
LOCK_FACTS = prepared("""
SELECT saga_id, facts, status FROM saga_choreography.sagas
 WHERE saga_id = ANY(CAST(:ids AS uuid[])) ORDER BY saga_id FOR NO KEY UPDATE
""")
_SAVE = prepared("""
WITH saved AS (
    UPDATE saga_choreography.sagas AS saga
       SET facts = seen.facts, status = seen.status,
           user_id = coalesce(saga.user_id, seen.user_id),
           payment_method = coalesce(saga.payment_method, seen.payment_method),
           order_id = coalesce(saga.order_id, seen.order_id), retrying = false,
           failed_step = seen.failed_step, first_effect_at = seen.first_effect_at, changed = DEFAULT,
           created_at = least(saga.created_at, seen.first_at), updated_at = seen.last_at, ended_at = seen.ended_at,
           moved_at = now(),
           due_at = CASE WHEN seen.ended_at IS NULL
                         THEN least(saga.due_at, now() + make_interval(secs => CAST(:stalled AS float8))) END
      FROM json_to_recordset(CAST(:rows AS json)) AS seen
           (saga_id uuid, facts json, status text, user_id text, payment_method text, order_id uuid, ends boolean,
            failed_step text, first_effect_at timestamptz, first_at timestamptz, last_at timestamptz,
            ended_at timestamptz)
     WHERE saga.saga_id = seen.saga_id
    RETURNING saga.saga_id, seen.ends
)
SELECT pg_notify(CAST(:channel AS text), CAST(saga_id AS text)) FROM saved WHERE ends
""")
# Rows that exist are neither changed nor locked here: recording inserts rows and then locks older ones, so the opposite
# order would lead to deadlocks with it.
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

# Only requests of people; actions of the watchdog are in each saga's timeline. A redrive is one operation, however many
# letters of however many sagas it moved.
OPERATIONS = union_all(
    select(notes.c.id, notes.c.at, notes.c.kind, notes.c.by, notes.c.reason, notes.c.saga_id, notes.c.detail).where(
        notes.c.by != "watchdog", notes.c.kind != "redriven"
    ),
    select(
        redrives.c.id,
        redrives.c.requested_at,
        literal("redriven", String(20)),
        redrives.c.by,
        redrives.c.reason,
        null().cast(Uuid),
        func.json_array_length(redrives.c.moved).concat(" messages"),
    ),
).subquery()


def register(connection: Connection, checkouts: Sequence[Checkout], limits: Limits) -> set[UUID]:
    """Return these sagas' newly inserted rows; see `register`."""
    rows = dumps([vars(each) for each in checkouts])
    return set(connection.scalars(_REGISTER, {"rows": rows, **_times(connection, limits)}))


def store(connection: Connection, event_rows: Sequence[Mapping[str, Any]], limits: Limits) -> set[UUID]:
    """Insert these events, and rows for their sagas where there are none; return the ids of the events that are new."""
    return set(connection.scalars(_STORE, {"rows": dumps(event_rows), **_times(connection, limits)}))


def lock_facts(connection: Connection, saga_ids: Iterable[UUID]) -> list[LockedFacts]:
    """Lock these sagas' rows, in the order of their ids, and return their facts; without those that do not exist."""
    return [LockedFacts(*row) for row in connection.execute(LOCK_FACTS, {"ids": list(saga_ids)})]


def save(connection: Connection, saga_rows: Sequence[Mapping[str, Any]], limits: Limits) -> None:
    """Update these sagas, which are locked, and notify of those that end by it (`ends`)."""
    connection.execute(_SAVE, {"rows": dumps(saga_rows), "stalled": limits.stalled_seconds, "channel": ENDS})


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


def _times(connection: Connection, limits: Limits) -> dict[str, Any]:
    return {"forward": limits.forward_seconds, "first": limits.first_seconds, "kept": retention_of(connection).sagas}
