"""Computes a saga as people see it from its events; pure. Order and repetition of the events make no difference.

Events are merged into facts: of each type, the first that happened. All that is shown follows from the facts. Since one
step follows from another, a later fact implies the earlier ones that have not arrived yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from saga_choreography.definition import Choreography, Fact, StepEvents
from shared.event_bus import (
    CONTRACT,
    Backward,
    CheckoutCancelRequested,
    CheckoutCompleted,
    CheckoutFailed,
    CheckoutInitiated,
    Event,
    event_type_of,
)
from shared.saga.states import SagaStatus, StepStatus

Facts = Mapping[
    str, Mapping[str, Any]
]  # by event type: when ("at", ISO 8601 in UTC), and what it says; as JSON holds it

BILL = ("user_id", "payment_method", "payment_id", "order_id", "total_minor")
BACKWARD = frozenset(entry.name for entry in CONTRACT.values() if issubclass(entry.payload, Backward))
BEGUN, COMPLETED, FAILED, CANCEL = (
    event_type_of(each).name for each in (CheckoutInitiated, CheckoutCompleted, CheckoutFailed, CheckoutCancelRequested)
)


@dataclass(frozen=True)
class StepView:
    """A step as people see it; times are of its action."""

    name: str
    status: StepStatus
    attempts: int
    compensation_attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


def merge(facts: Facts, events: Iterable[Event]) -> Facts:
    """Add the facts of these events; of two events of one type, the first that happened is kept."""
    merged = dict(facts)
    for event in events:
        name, fact = event.event_type.name, _fact(event)
        if name not in merged or _rank(fact) < _rank(merged[name]):
            merged[name] = fact
    return merged


def status_of(facts: Facts) -> SagaStatus:
    """The status that follows from the events; `stuck` does not, it is set by the watchdog."""
    if FAILED in facts:
        return SagaStatus.COMPENSATED
    if turned_back(facts):
        return SagaStatus.COMPENSATING
    if COMPLETED in facts:
        return SagaStatus.COMPLETED
    return SagaStatus.RUNNING if facts.keys() - {CANCEL} else SagaStatus.PENDING


def turned_back(facts: Facts) -> bool:
    """Whether the saga is compensating or compensated.

    A cancellation for a deadline is not enough: the saga may have passed its pivot before.
    """
    backward = facts.keys() & BACKWARD
    return bool(backward) and (backward != {CANCEL} or not _only_before_pivot(facts[CANCEL]))


def was_undone(facts: Facts) -> bool:
    """Whether the saga turned back after its completion."""
    return COMPLETED in facts and turned_back(facts)


def may_be_late(choreography: Choreography, facts: Facts) -> bool:
    """Whether the deadline applies: the saga goes forward, before its pivot, and no cancellation was requested."""
    pivot = event_type_of(choreography.steps[-1].ends).name
    return not facts.keys() & {pivot, COMPLETED, CANCEL} and not turned_back(facts)


def error_of(choreography: Choreography, facts: Facts) -> str | None:
    """Why the saga turned back; begins with the step's name when one was refused."""
    if not turned_back(facts):
        return None
    refused = {event_type_of(step.fails).name: step for step in choreography.steps}
    decisive = facts.keys() & {*refused, CANCEL} or facts.keys() & BACKWARD
    name = min(decisive, key=lambda each: (*_rank(facts[each]), each))
    reason = str(facts[name]["reason"])
    if name in refused and _was_refused(refused[name], facts):
        return f"{refused[name].name}: {reason}"
    return reason


def steps_of(choreography: Choreography, facts: Facts) -> list[StepView]:
    """The steps, in their order."""
    views: list[StepView] = []
    went_on = COMPLETED in facts  # whether any later fact is known
    for step in reversed(choreography.steps):
        status = _status(choreography, step, facts, went_on=went_on)
        views.append(_view(choreography, step, facts, status))
        went_on = went_on or _known((step.begins, step.ends), facts)
    return views[::-1]


def times_of(facts: Facts) -> tuple[datetime, datetime]:
    """The times of the first and of the last event that is known."""
    times = [fact["at"] for fact in facts.values()]
    return datetime.fromisoformat(min(times)), datetime.fromisoformat(max(times))


def ended_at(facts: Facts) -> datetime | None:
    """When the saga ended; None while it has not. A completed saga that is being compensated has not."""
    status = status_of(facts)
    end = {SagaStatus.COMPENSATED: FAILED, SagaStatus.COMPLETED: COMPLETED}.get(status)
    return None if end is None else datetime.fromisoformat(facts[end]["at"])


def failed_step(choreography: Choreography, facts: Facts) -> str | None:
    """The refused step because of which the saga turned back; None when it did not, or when somebody requested it."""
    if not turned_back(facts):
        return None
    return next((view.name for view in steps_of(choreography, facts) if view.status is StepStatus.FAILED), None)


def first_effect_at(choreography: Choreography, facts: Facts) -> datetime | None:
    """When the first step took effect. Of a saga compensated after its completion: when that compensation began."""
    names = {event_type_of(step.ends).name for step in choreography.steps}
    if was_undone(facts):
        names = {name for name in BACKWARD if not _only_before_pivot(facts.get(name, {}))}
    times = [facts[name]["at"] for name in names & facts.keys()]
    return datetime.fromisoformat(min(times)) if times else None


def bill_of(facts: Facts) -> Mapping[str, Any]:
    """User, payment method, total and ids, as `checkout.initiated` says; all None until that has arrived."""
    begun = facts.get(BEGUN, {})
    return {name: begun.get(name) for name in BILL}


def fault_of(facts: Facts) -> str | None:
    """The faults to inject into the saga, as `checkout.initiated` says; None until that has arrived."""
    fault = facts.get(BEGUN, {}).get("fault")
    return None if fault is None else str(fault)


def _status(choreography: Choreography, step: StepEvents, facts: Facts, *, went_on: bool) -> StepStatus:
    turned, closed = turned_back(facts), FAILED in facts
    begins, ends, undone = (event_type_of(each).name for each in (step.begins, step.ends, step.undone))
    done = ends in facts or went_on
    taken_up = done or begins in facts
    if _was_refused(step, facts) and not done:
        return StepStatus.FAILED
    if undone in facts or closed:
        return StepStatus.COMPENSATED if taken_up else StepStatus.SKIPPED
    if done:
        causes = choreography.causes[step.undone] - choreography.causes[step.begins]
        undoing = [fact for fact in causes if issubclass(fact, Backward)]
        return StepStatus.COMPENSATING if turned and _known(undoing, facts) else StepStatus.SUCCEEDED
    if event_type_of(step.fails).name in facts:  # refused before it was requested
        return StepStatus.SKIPPED
    if taken_up or _known(choreography.causes[step.begins], facts):
        return StepStatus.RUNNING
    return StepStatus.SKIPPED if turned else StepStatus.PENDING


def _view(choreography: Choreography, step: StepEvents, facts: Facts, status: StepStatus) -> StepView:
    requested = status not in {StepStatus.PENDING, StepStatus.SKIPPED}
    begun = [*_names(step.begins, *choreography.causes[step.begins]) & facts.keys()]
    outcome = event_type_of(step.fails if status is StepStatus.FAILED else step.ends).name
    finished = requested and status is not StepStatus.RUNNING and outcome in facts
    return StepView(
        name=step.name,
        status=status,
        attempts=int(requested),
        compensation_attempts=int(status in {StepStatus.COMPENSATING, StepStatus.COMPENSATED}),
        started_at=datetime.fromisoformat(min(facts[each]["at"] for each in begun)) if requested and begun else None,
        finished_at=datetime.fromisoformat(facts[outcome]["at"]) if finished else None,
        error=str(facts[outcome]["reason"]) if status is StepStatus.FAILED else None,
    )


def _was_refused(step: StepEvents, facts: Facts) -> bool:
    """Whether the step was requested and refused. If it was not requested, the saga turned back before this step."""
    names = _names(step.begins, step.fails)
    return names <= facts.keys() and event_type_of(step.ends).name not in facts


def _known(any_of: Iterable[Fact], facts: Facts) -> bool:
    return not _names(*any_of).isdisjoint(facts)


def _fact(event: Event) -> Mapping[str, Any]:
    at = event.time.astimezone(UTC).isoformat(timespec="microseconds")
    payload = event.payload
    if isinstance(payload, CheckoutInitiated):
        fault = {} if event.fault is None else {"fault": event.fault}
        return {"at": at, **payload.model_dump(mode="json", include=set(BILL)), **fault}
    if isinstance(payload, CheckoutCancelRequested):
        return {"at": at, "reason": payload.reason, "only_before_pivot": payload.only_before_pivot}
    return {"at": at, "reason": payload.reason} if isinstance(payload, Backward) else {"at": at}


def _rank(fact: Mapping[str, Any]) -> tuple[Any, ...]:
    """The sort key of facts of one type: by time, but a cancellation by an operator before one by a deadline."""
    return _only_before_pivot(fact), fact["at"], fact.get("reason", "")


def _only_before_pivot(fact: Mapping[str, Any]) -> bool:
    return bool(fact.get("only_before_pivot", False))


def _names(*facts: Fact) -> set[str]:
    return {event_type_of(each).name for each in facts}
