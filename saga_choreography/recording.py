"""Records events: each is stored once and merged into its saga, however often and in whatever order it arrives.

It takes three statements, for any number of events and sagas. Rows are written and locked in the order of their ids, so
that any number of processes can record at once.

Steps and sagas are counted for Prometheus as the events tell of them: an event that is recorded is counted once, or
again with the next try where the commit fails.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection

from saga_choreography import saga_store
from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import Choreography
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
    was_undone,
)
from saga_choreography.saga_store import LockedFacts, StoredEvent
from shared import metrics
from shared.event_bus import CONTRACT, Event, event_type_of
from shared.messaging.delivery import Delivery
from shared.purging.retention import TooOld
from shared.saga.states import ENDED, Direction

log = structlog.get_logger()
ENDING = frozenset(name for name, entry in CONTRACT.items() if entry.ends)
STYLE = "choreographed"


def outcomes_of(choreography: Choreography) -> Mapping[str, tuple[metrics.Step, str]]:
    """Return the step of each event that tells of one's end, and its outcome.

    An event that refuses a step and undoes another attempt at it counts as a refusal.
    """
    found: dict[str, tuple[metrics.Step, str]] = {}
    for step in choreography.steps:
        for fact, direction, outcome in (
            (step.ends, Direction.ACTION, "succeeded"),
            (step.fails, Direction.ACTION, "refused"),
            (step.undone, Direction.COMPENSATION, "succeeded"),
        ):
            told = event_type_of(fact)
            found.setdefault(told.name, (metrics.Step(STYLE, told.publisher, step.name, direction), outcome))
    return found


OUTCOMES = outcomes_of(CHECKOUT)


def record(connection: Connection, events: Sequence[Event], limits: Limits) -> list[Event]:
    """Store the events that are new, update their sagas, and notify of those that end; return no events to publish.

    Raises `TooOld`, and stores nothing, for events of a saga that may have been purged.
    """
    new = _stored(connection, events, limits)
    of_saga = _by_saga(new)
    if of_saga:
        sagas = saga_store.lock_facts(connection, of_saga)
        forgotten = of_saga.keys() - {saga.saga_id for saga in sagas}
        if forgotten:
            raise TooOld(f"too old to be known: {', '.join(map(str, forgotten))}", saga_ids=sorted(map(str, forgotten)))
        merged = [(saga, merge(saga.facts, of_saga[saga.saga_id])) for saga in sagas]
        ended = _save(connection, merged, limits)
        _count_steps(new)
        _measure_ends(ended)
    return []


def ends_a_saga(waiting: Sequence[Delivery]) -> bool:
    """Whether the latest message ends a saga: clients may wait for that, so the batch is recorded at once."""
    return waiting[-1].routing_key in ENDING


def remake(connection: Connection, saga_ids: Sequence[UUID], limits: Limits) -> None:
    """Rebuild these sagas from all of their events.

    Their rows are locked before their events are read, so that none is missed that comes in at the same time.
    """
    sagas = saga_store.lock_facts(connection, saga_ids)
    of_saga = _by_saga([_event(stored) for stored in saga_store.events_of(connection, saga_ids)])
    _save(connection, [(saga, merge({}, of_saga[saga.saga_id])) for saga in sagas], limits)


def _count_steps(events: Iterable[Event]) -> None:
    """Count the steps that these events, which are new, tell the end of."""
    for event in events:
        if event.event_type.name in OUTCOMES:
            step, outcome = OUTCOMES[event.event_type.name]
            seconds = None if event.taken_at is None else (event.time - event.taken_at).total_seconds()
            metrics.step_attempted(step, outcome, seconds)


def _measure_ends(ended: Iterable[tuple[UUID, Facts]]) -> None:
    """Measure how long these sagas took, which end by these facts."""
    for saga_id, facts in ended:
        at = ended_at(facts)
        if at is not None:
            status = metrics.UNDONE if was_undone(facts) else status_of(facts)
            metrics.saga_ended(STYLE, status, saga_id, at, first_effect_at(CHECKOUT, facts))


def _stored(connection: Connection, events: Sequence[Event], limits: Limits) -> list[Event]:
    """Insert the events and the rows of their sagas where there are none; return the events that are new."""
    by_id = {event.id: event for event in events}
    new = saga_store.store(connection, [_event_row(event) for event in by_id.values()], limits)
    if len(new) < len(events):
        log.debug("repeated events", events=len(events) - len(new))
    return [event for event in by_id.values() if event.id in new]


def _by_saga(events: Sequence[Event]) -> Mapping[UUID, list[Event]]:
    of_saga = defaultdict[UUID, list[Event]](list)
    for event in events:
        of_saga[event.saga_id].append(event)
    return of_saga


def _save(
    connection: Connection, merged: Sequence[tuple[LockedFacts, Facts]], limits: Limits
) -> list[tuple[UUID, Facts]]:
    """Write these sagas, notify of those that end, and return them."""
    rows = [_saga_row(saga, facts) for saga, facts in merged]
    saga_store.save(connection, rows, limits)
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


def _saga_row(saga: LockedFacts, facts: Facts) -> dict[str, Any]:
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
