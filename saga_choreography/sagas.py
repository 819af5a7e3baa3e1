"""The sagas of the read model, for the API that both saga services share (`shared/saga/port.py`)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, String, Uuid, func, literal, null, select, union_all

from saga_choreography import saga_store, schemas, service
from saga_choreography.choreography import CHECKOUT
from saga_choreography.config import Settings
from saga_choreography.definition import Fact, Reaction, StepEvents
from saga_choreography.domain import Cancellation, Checkout, Resend
from saga_choreography.models import audit_log, db, notes, outbox, redrives, sagas
from saga_choreography.recording import ENDS
from saga_choreography.saga_store import SagaHistory, StoredSaga
from saga_choreography.timeline import timeline_out
from shared.database.connections import Row
from shared.errors import Conflict
from shared.event_bus import event_type_of
from shared.saga.definition import DefinitionOut, HandlerDefinition, StepDefinition, StepKind
from shared.saga.frozen import FrozenCheckout
from shared.saga.port import OperatorRequest, SagaTables
from shared.saga.states import ENDED
from shared.saga.timeline_views import TimelineEntryOut
from shared.saga.views import SagaOut, SagaSummary


def _definition() -> DefinitionOut:
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


# Only requests of people; actions of the watchdog are in each saga's timeline. A redrive is one operation, however many
# letters of however many sagas it moved.
_OPERATIONS = union_all(
    select(notes.c.id, notes.c.at, notes.c.kind, notes.c.by, notes.c.reason, notes.c.saga_id, notes.c.detail).where(
        notes.c.by != "watchdog", notes.c.kind != "redriven"
    ),
    select(
        redrives.c.id,
        redrives.c.requested_at,
        literal("redriven", String(20)),
        redrives.c.by,
        redrives.c.reason,
        null().cast(Uuid),
        func.json_array_length(redrives.c.moved).concat(" messages"),
    ),
).subquery()

FAILING_STEPS = tuple(step.name for step in CHECKOUT.steps)


class ChoreographedSagas:
    """Implements the port `Sagas`."""

    path = "/saga/choreography"
    definition = _definition()
    tables = SagaTables(db, sagas, sagas.c.status.not_in(sorted(ENDED)), audit_log, _OPERATIONS, outbox)
    ends = ENDS

    def new_saga(self, checkout: FrozenCheckout) -> Checkout:
        """Return the request's fields, as they are stored."""
        request = checkout.request
        return Checkout(checkout.saga_id, request.cart_id, request.user_id, request.payment_method)

    def accept(self, new_sagas: Sequence[Checkout]) -> list[bool | Conflict]:
        """Register these sagas in the read model; True for those that have not ended, as far as is known."""
        with db.transaction() as connection:
            registered = service.register(connection, new_sagas, Settings.current().limits)
        return [each if isinstance(each, Conflict) else each not in ENDED for each in registered]

    def find(self, connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, StoredSaga]:
        """Return those of these sagas that exist, as far as their events have arrived."""
        return saga_store.find(connection, saga_ids)

    def get_history(self, connection: Connection, saga_id: UUID) -> SagaHistory:
        """Return the events and notes of a saga; raises `SagaNotFound`."""
        return service.get_history(connection, saga_id)

    def compensate(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> StoredSaga:
        """Request that inventario turns a saga back; raises `SagaNotFound`, `TooOld`."""
        cancellation = Cancellation(request.reason, request.by, trace=request.trace)
        return service.compensate(connection, saga_id, cancellation, Settings.current().limits)

    def retry(self, connection: Connection, saga_id: UUID, request: OperatorRequest) -> StoredSaga:
        """Request that a saga's events are sent again; raises `SagaNotFound`, `SagaEnded`."""
        return service.retry(connection, saga_id, Resend(request.reason, request.by, request.trace))

    def view(self, saga: StoredSaga) -> SagaOut:
        """Return the saga as the API shows it."""
        return schemas.saga_out(saga)

    def timeline(self, history: SagaHistory) -> list[TimelineEntryOut]:
        """Return all events and notes as the API shows them."""
        return timeline_out(history)

    def summary(self, row: Row) -> SagaSummary:
        """Return a saga's row as the API lists it."""
        return schemas.summary_of(StoredSaga.of(row))


SAGAS = ChoreographedSagas()
