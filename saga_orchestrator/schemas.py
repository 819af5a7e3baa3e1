"""Request and response bodies of the orchestrator."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import Field

from saga_orchestrator.domain import Checkout
from saga_orchestrator.engine import SagaStatus, StepStatus
from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.records import state_from_json
from shared.db import Row
from shared.ids import new_id
from shared.money import to_decimal
from shared.schemas import Address, Body, Money, Name, PaymentMethod, Time, UserId, View


class CheckoutIn(Body):
    """What to check out. `saga_id` is for carrito, which names the saga when it freezes the cart."""

    cart_id: UUID
    user_id: UserId
    payment_method: PaymentMethod
    billing_address: Address
    saga_id: UUID | None = None

    def command(self, saga_id: UUID) -> Checkout:
        """The same in the domain's words, with ids for what is to come."""
        return Checkout(
            saga_id=saga_id,
            cart_id=self.cart_id,
            user_id=self.user_id,
            payment_method=self.payment_method,
            billing_address=self.billing_address,
            payment_id=new_id(),
            order_id=new_id(),
        )


class CompensateIn(Body):
    """Why."""

    reason: Name = "asked for by an operator"


class SagaPath(Body):
    """A saga."""

    saga_id: UUID


class ListQuery(Body):
    """Which sagas."""

    status: SagaStatus | None = None
    cart_id: UUID | None = None
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class AcceptedOut(View):
    """The saga is durable, and will end."""

    saga_id: UUID
    status: str = "pending"
    cart_id: UUID
    user_id: str
    payment_method: str


class StepOut(View):
    """A step; attempts and times are of its action, null before it. Its compensation's are in the timeline."""

    name: str
    status: StepStatus
    attempts: int
    compensation_attempts: int
    started_at: Time | None
    finished_at: Time | None
    error: str | None


class SagaOut(View):
    """A saga. `payment_id` and `order_id` are null until they have been asked for."""

    saga_id: UUID
    status: SagaStatus
    saga_pattern: str = "orchestrated"
    cart_id: UUID
    user_id: str
    payment_method: str
    total: Money | None
    order_id: UUID | None
    payment_id: UUID | None
    error: str | None
    steps: list[StepOut]
    created_at: Time
    updated_at: Time
    ended_at: Time | None

    @classmethod
    def of(cls, row: Row, times: Mapping[str, tuple[Any, Any]]) -> "SagaOut":
        """The view of a saga's row, and of when each of its steps was first and last asked for."""
        state = state_from_json(row["state"])
        steps = []
        for step in CHECKOUT.steps:
            task = state.task(step.name)
            first, last = times.get(step.name, (None, None))
            steps.append(
                StepOut(
                    name=step.name,
                    status=task.status,
                    attempts=task.attempts,
                    compensation_attempts=task.undo_attempts,
                    started_at=first,
                    finished_at=None if task.status is StepStatus.RUNNING else last,
                    error=task.error,
                )
            )
        asked = {step.name for step in steps if step.attempts > 0}
        return cls(
            **{name: row[name] for name in ("saga_id", "cart_id", "user_id", "payment_method", "created_at")},
            status=row["status"],
            total=None if row["total_minor"] is None else to_decimal(row["total_minor"]),
            order_id=row["order_id"] if "create_order" in asked else None,
            payment_id=row["payment_id"] if "process_payment" in asked else None,
            error=state.error,
            steps=steps,
            updated_at=row["updated_at"],
            ended_at=row["ended_at"],
        )


class SagaSummary(View):
    """A saga in a list."""

    saga_id: UUID
    status: SagaStatus
    cart_id: UUID
    user_id: str
    payment_method: str
    created_at: Time
    ended_at: Time | None


class SagasOut(View):
    """A page of sagas, newest first; `next_cursor` is null on the last one."""

    items: list[SagaSummary]
    next_cursor: UUID | None


class TimelineEntryOut(View):
    """Something that happened: an `attempt` is one request; other kinds concern the saga as a whole."""

    kind: str
    step: str | None
    direction: str | None
    attempt: int | None
    outcome: str | None
    started_at: Time
    finished_at: Time
    detail: str | None
    executor: str | None


class TimelineOut(View):
    """All that happened to a saga, in order."""

    saga_id: UUID
    items: list[TimelineEntryOut]
