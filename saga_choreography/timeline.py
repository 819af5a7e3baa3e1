"""Makes the timeline of a choreographed saga from its events and notes."""

from collections.abc import Collection

from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import Fact
from saga_choreography.projection import COMPLETED
from saga_choreography.saga_store import Note, SagaHistory, StoredEvent
from shared.event_bus import CONTRACT, Backward, event_type_of
from shared.json_codec import loads
from shared.saga.timeline import with_undone
from shared.saga.timeline_views import RequestOut, ResponseOut, TimelineEntryOut

_REFUSALS = frozenset(step.fails for step in CHECKOUT.steps)  # their injected faults happened to the step's action
_HANDLERS = {reaction.fact: reaction.by for reaction in CHECKOUT.reactions if reaction.then}
About = tuple[str | None, str | None, str | None]  # step, direction, outcome


def timeline_out(history: SagaHistory) -> list[TimelineEntryOut]:
    """Return events and notes, in order."""
    by_id = {event.id: event for event in history.events}
    known = {event.type for event in history.events}
    entries = [
        (event.occurred_at, event.id, _event_out(event, by_id.get(event.cause) if event.cause else None, known))
        for event in history.events
    ]
    entries += [(note.at, note.id, _note_out(note)) for note in history.notes]
    return with_undone([entry for _, __, entry in sorted(entries, key=lambda each: each[:2])])


def _event_out(event: StoredEvent, cause: StoredEvent | None, known: Collection[str]) -> TimelineEntryOut:
    entry = CONTRACT[event.type]
    payload = entry.payload.model_validate_json(event.payload)
    step, direction, outcome = _about(entry.payload, known)
    return TimelineEntryOut(
        id=event.id,
        kind="event",
        service=entry.publisher,
        step=step,
        direction=direction,
        attempt=None,
        outcome=outcome,
        started_at=event.occurred_at,
        finished_at=event.occurred_at,
        detail=payload.reason if isinstance(payload, Backward) else None,
        executor=None,
        event_id=event.id,
        event=event.type,
        publisher=entry.publisher,
        cause=event.cause,
        received_at=event.received_at,
        taken_at=event.taken_at,
        handled_by=_HANDLERS.get(entry.payload),
        fault=None if direction == "compensation" and entry.payload in _REFUSALS else event.injected,
        by=getattr(payload, "by", None),
        reason=getattr(payload, "reason", None),
        request=None if cause is None else RequestOut(event=cause.type, body=loads(cause.payload)),
        response=_response_out(event, getattr(payload, "reason", None) if outcome == "refused" else None),
    )


def _response_out(event: StoredEvent, error: str | None) -> ResponseOut:
    return ResponseOut(event=event.type, body=loads(event.payload), error=error)


def _note_out(note: Note) -> TimelineEntryOut:
    return TimelineEntryOut(
        id=note.id,
        kind=note.kind,
        service=None,
        step=None,
        direction=None,
        attempt=None,
        outcome=None,
        started_at=note.at,
        finished_at=note.at,
        detail=note.detail,
        executor=None,
        by=note.by,
        reason=note.reason,
    )


def _about(fact: Fact, known: Collection[str]) -> About:
    """Return the step, direction and outcome that an event reports. `known` are the types of all events of its saga.

    `inventory.commit.failed` reports a refused commit, or a compensated one: the latter if the commit was done before.
    """
    for step in CHECKOUT.steps:
        done = not {event_type_of(step.ends).name, COMPLETED}.isdisjoint(known)
        if fact is step.undone and (done or fact is not step.fails):
            return step.name, "compensation", "succeeded"
        if fact is step.fails:
            return step.name, "action", "refused"
        if fact in {step.begins, step.ends}:
            return step.name, "action", "succeeded" if fact is step.ends else None
    return None, None, None
