"""Counts and measures steps and sagas, as their events tell of them, for Prometheus.

An event that is recorded is counted once; where the commit that follows fails, it is counted again with the next try.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import Choreography
from saga_choreography.projection import Facts, ended_at, first_effect_at, status_of, was_undone
from shared import metrics
from shared.event_bus import Event, event_type_of
from shared.saga.states import Direction

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


def count_steps(events: Iterable[Event]) -> None:
    """Count the steps that these events, which are new, tell the end of."""
    for event in events:
        if event.event_type.name in OUTCOMES:
            step, outcome = OUTCOMES[event.event_type.name]
            seconds = None if event.taken_at is None else (event.time - event.taken_at).total_seconds()
            metrics.step_attempted(step, outcome, seconds)


def measure_ends(ended: Iterable[tuple[UUID, Facts]]) -> None:
    """Measure how long these sagas took, which end by these facts."""
    for saga_id, facts in ended:
        at = ended_at(facts)
        if at is not None:
            status = metrics.UNDONE if was_undone(facts) else status_of(facts)
            metrics.saga_ended(STYLE, status, saga_id, at, first_effect_at(CHECKOUT, facts))
