"""What this service tells the API that both saga services share."""

from sqlalchemy import String, Uuid, func, literal, null, select, union_all

from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import Fact, Reaction, Step
from saga_choreography.models import audit_log, db, notes, redrives, sagas
from saga_choreography.schemas import summary_of
from shared.event_bus import entry_of
from shared.saga.definition import DefinitionOut, HandlerDefinition, StepDefinition, StepKind
from shared.saga.source import SagaSource


def _definition() -> DefinitionOut:
    *before, pivot = CHECKOUT.steps
    steps = [*(_step(step, StepKind.COMPENSATABLE) for step in before), _step(pivot, StepKind.PIVOT)]
    handlers = [_handler(reaction) for reaction in CHECKOUT.reactions]
    return DefinitionOut(saga_pattern="choreographed", name=CHECKOUT.name, steps=steps, handlers=handlers)


def _step(step: Step, kind: StepKind) -> StepDefinition:
    return StepDefinition(
        name=step.name,
        kind=kind,
        service=entry_of(step.ends).publisher,
        action=entry_of(step.begins).name,
        compensation=entry_of(step.undone).name,
        events=_names(step.facts),
    )


def _handler(reaction: Reaction) -> HandlerDefinition:
    return HandlerDefinition(
        event=entry_of(reaction.fact).name,
        service=reaction.by,
        then=_names(reaction.then),
        otherwise=_names(reaction.otherwise),
    )


def _names(facts: tuple[Fact, ...]) -> list[str]:
    return [entry_of(fact).name for fact in facts]


# Of people only: what the watchdog did is in each saga's timeline. A redrive is one operation, however many letters of
# however many sagas it moved.
_OPERATIONS = union_all(
    select(notes.c.id, notes.c.at, notes.c.kind, notes.c.by, notes.c.reason, notes.c.saga_id, notes.c.detail).where(
        notes.c.by != "watchdog", notes.c.kind != "redriven"
    ),
    select(
        redrives.c.id,
        redrives.c.asked_at,
        literal("redriven", String(20)),
        redrives.c.by,
        redrives.c.reason,
        null().cast(Uuid),
        func.json_array_length(redrives.c.moved).concat(" messages"),
    ),
).subquery()

_FAILING_STEPS = tuple(step.name for step in CHECKOUT.steps)

SOURCE = SagaSource(db, "/status", _definition(), _FAILING_STEPS, sagas, audit_log, summary_of, _OPERATIONS)
