"""What this service tells the API that both saga services share."""

from sqlalchemy import select

from saga_orchestrator.domain import Checkout
from saga_orchestrator.models import audit_log, db, sagas, timeline
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS
from saga_orchestrator.runtime.definition import Step
from saga_orchestrator.schemas import summary_of
from shared.saga.definition import DefinitionOut, StepDefinition, StepKind
from shared.saga.source import SagaSource


def _definition() -> DefinitionOut:
    kinds = [
        *((step, StepKind.COMPENSATABLE) for step in CHECKOUT.compensatable),
        *((step, StepKind.PIVOT) for step in CHECKOUT.steps[len(CHECKOUT.compensatable) :]),
        *((step, StepKind.RETRYABLE) for step in CHECKOUT.retryable),
        (CHECKOUT.closing, StepKind.CLOSING),
    ]
    steps = [_step(step, kind) for step, kind in kinds]
    return DefinitionOut(saga_pattern="orchestrated", name=CHECKOUT.name, steps=steps, handlers=[])


def _step(step: Step[Checkout], kind: StepKind) -> StepDefinition:
    return StepDefinition(
        name=step.name,
        kind=kind,
        service=step.action.service.name,
        action=str(step.action),
        compensation=None if step.compensation is None else str(step.compensation),
        events=[],
    )


_OPERATIONS = (
    select(
        timeline.c.id,
        timeline.c.started_at.label("at"),
        timeline.c.kind,
        timeline.c.by,
        timeline.c.reason,
        timeline.c.saga_id,
        timeline.c.detail,
    )
    .where(timeline.c.by.is_not(None))
    .subquery()
)

_FAILING_STEPS = tuple(dict.fromkeys(step.name for version in VERSIONS for step in version.steps))

SOURCE = SagaSource(db, "", _definition(), _FAILING_STEPS, sagas, audit_log, summary_of, _OPERATIONS)
