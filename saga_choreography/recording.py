"""Records events: each is stored once and merged into its saga, however often and in whatever order it arrives.

It takes three statements, for any number of events and sagas. Rows are written and locked in the order of their ids, so
that any number of processes can record at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection

from saga_choreography import measures
from saga_choreography.choreography import CHECKOUT
from saga_choreography.domain import Limits
from saga_choreography.projection import (
    Facts,
    bill_of,
    ended_at,
    failed_step,
    first_effect_at,
    merge,
    status_of,
    times_of,
)
from saga_choreography.saga_store import StoredEvent, events_of
from shared.database.prepared import prepared
from shared.event_bus import CONTRACT, Event
from shared.json_codec import dumps
from shared.purging.retention import TooOld, retention_of, too_old_sql
from shared.saga.states import ENDED

log = structlog.get_logger()
ENDS = "choreography_ended"  # the channel of notifications of the sagas that end

# Also inserts a row for each new saga, with its cart, which every event names.
STORE = prepared(f"""
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
LOCK = prepared("""
SELECT saga_id, facts, status FROM saga_choreography.sagas
 WHERE saga_id = ANY(CAST(:ids AS uuid[])) ORDER BY saga_id FOR NO KEY UPDATE
""")
SAVE = prepared("""
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


@dataclass(frozen=True)
class LockedSaga:
    """A saga's facts and status before the events of this transaction."""

    saga_id: UUID
    facts: Facts
    status: str


def record(connection: Connection, events: Sequence[Event], limits: Limits) -> list[Event]:
    """Store the events that are new, update their sagas, and notify of those that end; return no events to publish.

    Raises `TooOld`, and stores nothing, for events of a saga that may have been purged.
    """
    new = _stored(connection, events, limits)
    of_saga = _by_saga(new)
    if of_saga:
        sagas = _locked(connection, of_saga)
        forgotten = of_saga.keys() - {saga.saga_id for saga in sagas}
        if forgotten:
            raise TooOld(f"too old to be known: {', '.join(map(str, forgotten))}", saga_ids=sorted(map(str, forgotten)))
        merged = [(saga, merge(saga.facts, of_saga[saga.saga_id])) for saga in sagas]
        ended = _save(connection, merged, limits)
        measures.count_steps(new)
        measures.measure_ends(ended)
    return []


def remake(connection: Connection, saga_ids: Sequence[UUID], limits: Limits) -> None:
    """Rebuild these sagas from all of their events.

    Their rows are locked before their events are read, so that none is missed that comes in at the same time.
    """
    sagas = _locked(connection, saga_ids)
    of_saga = _by_saga([_event(stored) for stored in events_of(connection, saga_ids)])
    _save(connection, [(saga, merge({}, of_saga[saga.saga_id])) for saga in sagas], limits)


def _stored(connection: Connection, events: Sequence[Event], limits: Limits) -> list[Event]:
    """Insert the events and the rows of their sagas where there are none; return the events that are new."""
    by_id = {event.id: event for event in events}
    rows = dumps([_event_row(event) for event in by_id.values()])
    times = {"forward": limits.forward_seconds, "first": limits.first_seconds, "kept": retention_of(connection).sagas}
    new = set(connection.scalars(STORE, {"rows": rows, **times}))
    if len(new) < len(events):
        log.debug("repeated events", events=len(events) - len(new))
    return [event for event in by_id.values() if event.id in new]


def _by_saga(events: Sequence[Event]) -> Mapping[UUID, list[Event]]:
    of_saga = defaultdict[UUID, list[Event]](list)
    for event in events:
        of_saga[event.saga_id].append(event)
    return of_saga


def _locked(connection: Connection, saga_ids: Iterable[UUID]) -> list[LockedSaga]:
    return [LockedSaga(*row) for row in connection.execute(LOCK, {"ids": list(saga_ids)})]


def _save(
    connection: Connection, merged: Sequence[tuple[LockedSaga, Facts]], limits: Limits
) -> list[tuple[UUID, Facts]]:
    """Write these sagas, notify of those that end, and return them."""
    rows = [_saga_row(saga, facts) for saga, facts in merged]
    connection.execute(SAVE, {"rows": dumps(rows), "stalled": limits.stalled_seconds, "channel": ENDS})
    return [(row["saga_id"], row["facts"]) for row in rows if row["ends"]]


def _event_row(event: Event) -> dict[str, Any]:
    texts = event.texts
    return {
        "id": texts.id,
        "saga_id": texts.saga_id,
        "type": event.event_type.name,
        "payload": event.data,
        "occurred_at": texts.time,
        "cause": texts.cause,
        "trace": event.trace,
        "fault": event.fault,
        "injected": event.injected,
        "taken_at": texts.taken_at,
    }


def _event(stored: StoredEvent) -> Event:
    payload = CONTRACT[stored.type].payload.model_validate_json(stored.payload)
    return Event(
        payload, stored.id, stored.occurred_at, stored.cause, stored.trace, stored.fault, taken_at=stored.taken_at
    )


def _saga_row(saga: LockedSaga, facts: Facts) -> dict[str, Any]:
    first, last = times_of(facts)
    bill = bill_of(facts)
    status = status_of(facts)
    return {
        "saga_id": saga.saga_id,
        "facts": facts,
        "status": status,
        "ends": status in ENDED and status != saga.status,
        "user_id": bill["user_id"],
        "payment_method": bill["payment_method"],
        "order_id": bill["order_id"],
        "failed_step": failed_step(CHECKOUT, facts),
        "first_effect_at": first_effect_at(CHECKOUT, facts),
        "first_at": first,
        "last_at": last,
        "ended_at": ended_at(facts),
    }
