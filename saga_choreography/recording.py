"""Events in: each is stored once and shown in its saga, however often and in which order they come.

Set-based, in a fixed number of statements: hundreds of events of as many sagas go together. Rows are written and
locked in the order of their ids, so that any number of processes can do this at once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text

from saga_choreography.domain import Limits
from saga_choreography.models import events as stored
from saga_choreography.projection import Facts, bill_of, ended_at, merge, status_of, times_of
from shared.db import Row
from shared.event_bus import CONTRACT, Event
from shared.json_codec import dumps
from shared.saga_states import ENDED

ENDS = "choreography_ended"  # the channel on which the sagas that ended are named

STORE = text("""
INSERT INTO saga_choreography.events (id, saga_id, type, payload, occurred_at, cause, trace)
SELECT id, saga_id, type, payload, occurred_at, cause, trace
  FROM json_to_recordset(:rows) AS came
       (id uuid, saga_id uuid, type text, payload text, occurred_at timestamptz, cause uuid, trace text)
 ORDER BY id
ON CONFLICT DO NOTHING
RETURNING id
""")
OPEN = text("""
INSERT INTO saga_choreography.sagas (saga_id, cart_id, deadline_at, due_at)
SELECT saga_id, cart_id,
       now() + make_interval(secs => :forward), now() + make_interval(secs => least(:forward, :stuck))
  FROM json_to_recordset(:rows) AS came (saga_id uuid, cart_id uuid)
 ORDER BY saga_id
ON CONFLICT DO NOTHING
""")
LOCK = text("""
SELECT saga_id, facts, status FROM saga_choreography.sagas
 WHERE saga_id = ANY(CAST(:ids AS uuid[])) ORDER BY saga_id FOR NO KEY UPDATE
""")
SAVE = text("""
UPDATE saga_choreography.sagas AS saga
   SET facts = seen.facts, status = seen.status,
       user_id = coalesce(saga.user_id, seen.user_id),
       payment_method = coalesce(saga.payment_method, seen.payment_method),
       created_at = least(saga.created_at, seen.first_at), updated_at = seen.last_at, ended_at = seen.ended_at,
       moved_at = now(),
       due_at = CASE WHEN seen.ended_at IS NULL THEN coalesce(saga.due_at, now() + make_interval(secs => :stuck)) END
  FROM json_to_recordset(:rows) AS seen
       (saga_id uuid, facts json, status text, user_id text, payment_method text,
        first_at timestamptz, last_at timestamptz, ended_at timestamptz)
 WHERE saga.saga_id = seen.saga_id
""")
NEXT = text("""
SELECT DISTINCT ON (saga_id) saga_id, CAST(CAST(payload AS json) ->> 'cart_id' AS uuid) AS cart_id
  FROM saga_choreography.events WHERE saga_id > :after ORDER BY saga_id LIMIT :limit
""")
WAKE = text("SELECT pg_notify(:channel, CAST(saga_id AS text)) FROM unnest(CAST(:ids AS uuid[])) AS saga_id")


def record(uow: Connection, events: Sequence[Event], limits: Limits) -> list[Event]:
    """Store those that are new, show what they tell, and wake who waits for a saga that ended. Nothing follows."""
    of_saga = _by_saga(_stored(uow, events))
    if of_saga:
        rows = _locked(uow, {saga_id: came[0].payload.cart_id for saga_id, came in of_saga.items()}, limits)
        _save(uow, [(row, merge(row["facts"], of_saga[row["saga_id"]])) for row in rows], limits)
    return []


def remake_next(uow: Connection, after: UUID, limit: int, limits: Limits) -> list[UUID]:
    """Make up to `limit` sagas anew from all of their events, in the order of their ids; which they were.

    Their rows are locked before their events are read, so that none is missed that comes in at the same time.
    """
    carts = {row.saga_id: row.cart_id for row in uow.execute(NEXT, {"after": after, "limit": limit})}
    rows = _locked(uow, carts, limits)
    of_saga = _by_saga(
        [_event(row) for row in uow.execute(select(stored).where(stored.c.saga_id.in_(carts))).mappings()]
    )
    _save(uow, [(row, merge({}, of_saga[row["saga_id"]])) for row in rows], limits)
    return list(carts)


def _stored(uow: Connection, events: Sequence[Event]) -> list[Event]:
    by_id = {event.id: event for event in events}
    if not by_id:
        return []
    new = set(uow.scalars(STORE, {"rows": dumps([_event_row(event) for event in by_id.values()])}))
    return [event for event in by_id.values() if event.id in new]


def _by_saga(events: Sequence[Event]) -> Mapping[UUID, list[Event]]:
    of_saga = defaultdict[UUID, list[Event]](list)
    for event in events:
        of_saga[event.saga_id].append(event)
    return of_saga


def _locked(uow: Connection, carts: Mapping[UUID, UUID], limits: Limits) -> Sequence[Any]:
    """The rows of these sagas, each with its cart; those that are not there yet are made."""
    rows = [{"saga_id": saga_id, "cart_id": cart_id} for saga_id, cart_id in carts.items()]
    uow.execute(OPEN, {"rows": dumps(rows), "forward": limits.forward_seconds, "stuck": limits.stuck_seconds})
    return uow.execute(LOCK, {"ids": [str(saga_id) for saga_id in carts]}).mappings().all()


def _save(uow: Connection, merged: Sequence[tuple[Any, Facts]], limits: Limits) -> None:
    rows = [_saga_row(row["saga_id"], facts) for row, facts in merged]
    uow.execute(SAVE, {"rows": dumps(rows), "stuck": limits.stuck_seconds})
    was = {row["saga_id"]: row["status"] for row, _ in merged}
    ended = [row["saga_id"] for row in rows if row["status"] in ENDED and row["status"] != was[row["saga_id"]]]
    if ended:
        uow.execute(WAKE, {"channel": ENDS, "ids": [str(saga_id) for saga_id in ended]})


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "saga_id": event.saga_id,
        "type": event.entry.name,
        "payload": event.payload.model_dump_json(),
        "occurred_at": event.time,
        "cause": event.cause,
        "trace": event.trace,
    }


def _event(row: Row) -> Event:
    payload = CONTRACT[row["type"]].payload.model_validate_json(row["payload"])
    return Event(payload, row["id"], row["occurred_at"], row["cause"], row["trace"])


def _saga_row(saga_id: UUID, facts: Facts) -> dict[str, Any]:
    first, last = times_of(facts)
    bill = bill_of(facts)
    return {
        "saga_id": saga_id,
        "facts": facts,
        "status": status_of(facts),
        "user_id": bill["user_id"],
        "payment_method": bill["payment_method"],
        "first_at": first,
        "last_at": last,
        "ended_at": ended_at(facts),
    }
