"""Request and response bodies of the choreography, beside those of both patterns (`shared/saga/views.py`)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from saga_choreography.choreography import CHECKOUT
from saga_choreography.domain import Checkout
from saga_choreography.projection import StepView, bill_of, error_of, fault_of, steps_of
from shared.database.connections import Row
from shared.http.schemas import STORABLE, Body, OneLine, Time, TimeIn, View
from shared.money import to_decimal
from shared.saga.states import ENDED, StepStatus
from shared.saga.views import CheckoutIn, SagaOut, SagaSummary, StepOut

Service = Literal["carrito", "inventario", "pagos", "saga_choreography"]
EventId = Annotated[
    str, Field(min_length=1, max_length=200), STORABLE
]  # ids and names of events: whatever a message says


class LetterFilterIn(Body):
    """Which letters; what is left out is any. `error` is a part of the reason, in large or small letters."""

    service: Service | None = None
    event: EventId | None = None
    saga_id: UUID | None = None
    error: Annotated[str, Field(min_length=1, max_length=200), STORABLE] | None = None
    parked_before: TimeIn | None = None


class DeadLettersQuery(LetterFilterIn):
    """Which, and how many of each service at most."""

    limit: int = Field(default=100, ge=1, le=200)


class RedriveIn(LetterFilterIn):
    """Why, who asks, and which: all of all services unless told."""

    reason: OneLine = Field(examples=["the wallet was filled"])
    by: OneLine = Field(examples=["olga"])
    event_ids: tuple[EventId, ...] | None = Field(default=None, min_length=1, max_length=200)


class DeadLetterOut(View):
    """A message that a service could not deal with. One that is no event may lack anything but its payload."""

    service: str
    event_id: str
    event: str | None
    saga_id: UUID | None
    error: str | None
    tries: int | None
    parked_at: str | None
    payload: Any


class MovedOut(View):
    """A dead letter that was given to its service again."""

    service: str
    event_id: str
    event: str | None
    saga_id: UUID | None


class WantedOut(View):
    """Which were to be tried again; null is all."""

    service: str | None
    event_ids: list[str] | None
    event: str | None = None
    saga_id: UUID | None = None
    error: str | None = None
    parked_before: Time | None = None


class RedriveOut(View):
    """Who had which dead letters tried again, why, and which there were; without an end it may have been cut short."""

    id: UUID
    asked_at: Time
    by: str
    reason: str
    wanted: WantedOut
    moved: list[MovedOut]
    finished_at: Time | None


class DeadLettersOut(View):
    """The dead letters that there are, and what was done about such: the latest first."""

    items: list[DeadLetterOut]
    redrives: list[RedriveOut]


def checkout_of(body: CheckoutIn, saga_id: UUID) -> Checkout:
    """The checkout that the body names."""
    return Checkout(saga_id, body.cart_id, body.user_id, body.payment_method)


def saga_out(row: Row) -> SagaOut:
    """The view of a saga's row."""
    facts = row["facts"]
    bill = bill_of(facts)
    steps = [StepOut.model_validate(step) for step in steps_of(CHECKOUT, facts)]
    requested = {step.name for step in steps if step.attempts > 0}
    return SagaOut(
        **{name: row[name] for name in ("saga_id", "status", "cart_id", "user_id", "payment_method")},
        **{name: row[name] for name in ("created_at", "updated_at", "ended_at")},
        saga_pattern="choreographed",
        total=None if bill["total_minor"] is None else to_decimal(bill["total_minor"]),
        order_id=bill["order_id"] if "create_order" in requested else None,
        payment_id=bill["payment_id"] if "process_payment" in requested else None,
        error=error_of(CHECKOUT, facts),
        fault=fault_of(facts),
        steps=steps,
    )


def summary_of(row: Row) -> SagaSummary:
    """A saga in a list, as its row says."""
    facts = row["facts"]
    bill = bill_of(facts)
    steps = steps_of(CHECKOUT, facts)
    step = _where(row, steps)
    return SagaSummary(
        **{name: row[name] for name in ("saga_id", "status", "cart_id", "user_id", "payment_method", "retrying")},
        **{name: row[name] for name in ("failed_step", "first_effect_at", "created_at", "updated_at", "ended_at")},
        saga_pattern="choreographed",
        total=None if bill["total_minor"] is None else to_decimal(bill["total_minor"]),
        order_id=bill["order_id"] if any(each.name == "create_order" and each.attempts for each in steps) else None,
        error=error_of(CHECKOUT, facts),
        step=None if step is None else step.name,
        attempts=0 if step is None else _attempts(step),
        next_try_at=row["due_at"] if row["retrying"] else None,
        fault=fault_of(facts),
    )


def _where(row: Row, steps: Sequence[StepView]) -> StepView | None:
    """The step that a saga is at; of one that has ended, the one because of which it did."""
    if row["status"] in ENDED:
        return next((step for step in steps if step.name == row["failed_step"]), None)
    going = [step for step in steps if step.status in {StepStatus.RUNNING, StepStatus.COMPENSATING}]
    return next(iter(going or [step for step in steps if step.status is StepStatus.PENDING]), None)


def _attempts(step: StepView) -> int:
    return step.compensation_attempts if step.status is StepStatus.COMPENSATING else step.attempts
