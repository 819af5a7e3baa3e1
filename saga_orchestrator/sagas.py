"""The sagas that the built-in runtime runs, for the API that both saga services share (`shared/saga/port.py`)."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection, select

from saga_orchestrator import saga_store, schemas, service
from saga_orchestrator.config import Settings
from saga_orchestrator.domain import Checkout
from saga_orchestrator.models import audit_log, db, sagas, timeline
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS, CheckoutSaga
from saga_orchestrator.runtime.definition import Step
from saga_orchestrator.runtime.embedded import EmbeddedExecutor
from saga_orchestrator.runtime.leases import BUILTIN, Acceptance
from saga_orchestrator.runtime.store import ENDS
from saga_orchestrator.saga_store import SagaHistory, SagaWithTimes, StoredSaga
from saga_orchestrator.timeline import timeline_out
from shared import telemetry
from shared.database.connections import Row
from shared.errors import Conflict
from shared.saga.definition import DefinitionOut, StepDefinition, StepKind
from shared.saga.frozen import FrozenCheckout
from shared.saga.port import OperatorRequest, SagaTables
from shared.saga.timeline_views import TimelineEntryOut
from shared.saga.views import SagaOut, SagaSummary


def _definition() -> DefinitionOut:
    kinds = [
        *((step, StepKind.COMPENSATABLE) for step in CHECKOUT.compensatable),
        *((step, StepKind.PIVOT) for step in CHECKOUT.shown_steps[len(CHECKOUT.compensatable) :]),
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

FAILING_STEPS = tuple(dict.fromkeys(step.name for version in VERSIONS for step in version.shown_steps))


class OrchestratedSagas:
    """Implements the port `Sagas`."""

    path = "/saga"
    definition = _definition()
    tables = SagaTables(db, sagas, sagas.c.due_at.is_not(None), audit_log, _OPERATIONS)
    ends = ENDS

    def new_saga(self, checkout: FrozenCheckout) -> CheckoutSaga:
        """Return the saga of a checkout, with the ids that carrito chose."""
        return replace(schemas.saga_of(checkout), trace=telemetry.current())

    def accept(self, new_sagas: Sequence[CheckoutSaga]) -> list[bool | Conflict]:
        """Accept these sagas, and run them if this process has capacity; True for new ones, which have not ended."""
        settings = Settings.current()
        seconds, engine = settings.forward_deadline_seconds, settings.saga_engine
        here = EmbeddedExecutor.current().accepting(len(new_sagas)) if engine == BUILTIN else nullcontext()
        with here as intake:
            how = Acceptance(engine) if intake is None else intake.acceptance
            with db.transaction() as connection:
                results = service.accept(connection, new_sagas, seconds, how)
            if intake is not None:
                new = [saga for saga, result in zip(new_sagas, results, strict=True) if result is True]
                intake.run(CHECKOUT, new, seconds)
        return results

    def find(self, connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, SagaWithTimes]:
        """Return those of these sagas that exist, with the times of their steps."""
        return saga_store.find_with_times(connection, saga_ids)

    def get_history(self, connection: Connection, saga_id: UUID) -> SagaHistory:
        """Return a saga and its timeline; raises `SagaNotFound`."""
        return service.get_history(connection, saga_id)

    def compensate(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> SagaWithTimes:
        """Turn a saga back; raises `SagaNotFound`, `TooOld`."""
        return service.compensate(connection, saga_id, request.reason, request.by, Settings.current().saga_engine)

    def retry(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> SagaWithTimes:
        """Retry a waiting or stuck saga now; raises `SagaNotFound`, `SagaEnded`."""
        return service.retry(connection, saga_id, request.reason, request.by)

    def view(self, saga: SagaWithTimes) -> SagaOut:
        """Return the saga as the API shows it."""
        return schemas.saga_out(saga.saga, saga.step_times)

    def timeline(self, history: SagaHistory) -> list[TimelineEntryOut]:
        """Return all requests and decisions as the API shows them."""
        return timeline_out(history)

    def summary(self, row: Row) -> SagaSummary:
        """Return a saga's row as the API lists it."""
        return schemas.summary_of(StoredSaga.of(row))


SAGAS = OrchestratedSagas()
