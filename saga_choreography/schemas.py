"""Request and response bodies of the choreography, beside those of both styles (`shared/saga/views.py`)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from saga_choreography.choreography import CHECKOUT
from saga_choreography.definition import Fact, Reaction, StepEvents
from saga_choreography.projection import StepView, bill_of, error_of, fault_of, steps_of, turned_back
from saga_choreography.saga_store import StoredSaga
from shared.event_bus import event_type_of
from shared.http.schemas import STORABLE, Body, OneLine, Time, TimeIn, View
from shared.money import to_decimal
from shared.saga.definition import DefinitionOut, HandlerDefinition, StepDefinition, StepKind
from shared.saga.rows import shown_columns
from shared.saga.states import ENDED, StepStatus
from shared.saga.views import SagaOut, SagaSummary, StepOut

Service = Literal["carrito", "inventario", "pagos", "saga_choreography"]
EventId = Annotated[
    str, Field(min_length=1, max_length=200), STORABLE
]  # ids and names of events: a message may contain any text


class LetterFilterIn(Body):
    """Which letters; an omitted field matches any. `error` is a part of the reason, in any case."""

    service: Service | None = None
    event: EventId | None = None
    saga_id: UUID | None = None
    error: Annotated[str, Field(min_length=1, max_length=200), STORABLE] | None = None
    parked_before: TimeIn | None = None


class DeadLettersQuery(LetterFilterIn):
    """Which letters, and how many of each service at most."""

    limit: int = Field(default=100, ge=1, le=200)


class RedriveIn(LetterFilterIn):
    """Who requests a redrive, why, and of which letters: by default all letters of all services."""

    reason: OneLine = Field(examples=["the wallet was filled"])
    by: OneLine = Field(examples=["olga"])
    event_ids: tuple[EventId, ...] | None = Field(default=None, min_length=1, max_length=200)


class DeadLetterOut(View):
    """A message that a service could not process. One that is no event may lack all fields but its payload."""

    service: str
    event_id: str
    event: str | None
    saga_id: UUID | None
    error: str | None
    tries: int | None
    parked_at: str | None
    payload: Any


class MovedOut(View):
    """A dead letter that was delivered to its service again."""

    service: str
    event_id: str
    event: str | None
    saga_id: UUID | None


class WantedOut(View):
    """The filter of a redrive; null matches any."""

    service: str | None
    event_ids: list[str] | None
    event: str | None = None
    saga_id: UUID | None = None
    error: str | None = None
    parked_before: Time | None = None


class RedriveOut(View):
    """A redrive: who requested it, why, its filter, and what it moved. Without an end it may have been interrupted."""

    id: UUID
    requested_at: Time
    by: str
    reason: str
    wanted: WantedOut
    moved: list[MovedOut]
    finished_at: Time | None


class DeadLettersOut(View):
    """The dead letters, and the latest redrives, the last one first."""

    items: list[DeadLetterOut]
    redrives: list[RedriveOut]


def saga_out(saga: StoredSaga) -> SagaOut:
    """The view of a saga."""
    facts = saga.facts
    bill = bill_of(facts)
    steps = [StepOut.model_validate(step) for step in steps_of(CHECKOUT, facts)]
    requested = {step.name for step in steps if step.attempts > 0}
    return SagaOut(
        **shown_columns(saga),
        saga_pattern="choreographed",
        total=None if bill["total_minor"] is None else to_decimal(bill["total_minor"]),
        order_id=bill["order_id"] if "create_order" in requested else None,
        payment_id=bill["payment_id"] if "process_payment" in requested else None,
        turned_back=turned_back(facts),
        error=error_of(CHECKOUT, facts),
        fault=fault_of(facts),
        steps=steps,
    )


def summary_of(saga: StoredSaga) -> SagaSummary:
    """Return the view of a saga in a list."""
    facts = saga.facts
    bill = bill_of(facts)
    steps = steps_of(CHECKOUT, facts)
    step = _where(saga, steps)
    return SagaSummary(
        **shown_columns(saga),
        saga_pattern="choreographed",
        total=None if bill["total_minor"] is None else to_decimal(bill["total_minor"]),
        order_id=bill["order_id"] if any(each.name == "create_order" and each.attempts for each in steps) else None,
        error=error_of(CHECKOUT, facts),
        step=None if step is None else step.name,
        direction=None if step is None else _direction(step),
        attempts=0 if step is None else _attempts(step),
        retrying=saga.retrying,
        next_try_at=saga.due_at if saga.retrying else None,
        failed_step=saga.failed_step,
        first_effect_at=saga.first_effect_at,
        fault=fault_of(facts),
    )


def _where(saga: StoredSaga, steps: Sequence[StepView]) -> StepView | None:
    """The step that a saga is at; once it has ended, the step because of which it turned back, if any."""
    if saga.status in ENDED:
        return next((step for step in steps if step.name == saga.failed_step), None)
    going = [step for step in steps if step.status in {StepStatus.RUNNING, StepStatus.COMPENSATING}]
    return next(iter(going or [step for step in steps if step.status is StepStatus.PENDING]), None)


def _direction(step: StepView) -> str:
    return "compensation" if step.status is StepStatus.COMPENSATING else "action"


def _attempts(step: StepView) -> int:
    return step.compensation_attempts if step.status is StepStatus.COMPENSATING else step.attempts


def definition_out() -> DefinitionOut:
    """Make the view of the definition."""
    *before, pivot = CHECKOUT.steps
    steps = [*(_step(step, StepKind.COMPENSATABLE) for step in before), _step(pivot, StepKind.PIVOT)]
    handlers = [_handler(reaction) for reaction in CHECKOUT.reactions]
    return DefinitionOut(saga_pattern="choreographed", name=CHECKOUT.name, steps=steps, handlers=handlers)


def _step(step: StepEvents, kind: StepKind) -> StepDefinition:
    return StepDefinition(
        name=step.name,
        kind=kind,
        service=event_type_of(step.ends).publisher,
        action=event_type_of(step.begins).name,
        compensation=event_type_of(step.undone).name,
        events=_names(step.facts),
    )


def _handler(reaction: Reaction) -> HandlerDefinition:
    return HandlerDefinition(
        event=event_type_of(reaction.fact).name,
        service=reaction.by,
        then=_names(reaction.then),
        otherwise=_names(reaction.otherwise),
    )


def _names(facts: tuple[Fact, ...]) -> list[str]:
    return [event_type_of(fact).name for fact in facts]
