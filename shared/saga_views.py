"""What people are shown of sagas, and ask of them: the same in either style."""

from uuid import UUID

from pydantic import Field

from shared.saga_states import SagaStatus, StepStatus
from shared.schemas import Address, Body, Money, Name, PaymentMethod, Time, UserId, View


class CheckoutIn(Body):
    """What to check out. `saga_id` is for carrito, which names the saga when it freezes the cart."""

    cart_id: UUID
    user_id: UserId
    payment_method: PaymentMethod
    billing_address: Address
    saga_id: UUID | None = None


class OperatorIn(Body):
    """Why an operator wants something done about a saga, and who that is."""

    reason: Name = "asked for by an operator"
    by: Name = "an operator"


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
    saga_pattern: str
    cart_id: UUID
    user_id: str | None
    payment_method: str | None
    total: Money | None
    order_id: UUID | None
    payment_id: UUID | None
    error: str | None
    steps: list[StepOut]
    created_at: Time
    updated_at: Time
    ended_at: Time | None


class SagaSummary(View):
    """A saga in a list."""

    saga_id: UUID
    status: SagaStatus
    cart_id: UUID
    user_id: str | None
    payment_method: str | None
    created_at: Time
    ended_at: Time | None


class SagasOut(View):
    """A page of sagas, newest first; `next_cursor` is null on the last one."""

    items: list[SagaSummary]
    next_cursor: UUID | None

    @classmethod
    def page(cls, items: list[SagaSummary], limit: int) -> "SagasOut":
        """A page of at most `limit`; a full one may have another after it."""
        return cls(items=items, next_cursor=items[-1].saga_id if len(items) == limit else None)


class TimelineEntryOut(View):
    """Something that happened.

    An `attempt` is one request of an orchestrated saga, an `event` one of a choreographed saga, with who published it
    and which event it follows from. Other kinds concern the saga as a whole; `by` is who asked for them, `reason` why.
    """

    kind: str
    step: str | None
    direction: str | None
    attempt: int | None
    outcome: str | None
    started_at: Time
    finished_at: Time
    detail: str | None
    executor: str | None
    event_id: UUID | None = None
    event: str | None = None
    publisher: str | None = None
    cause: UUID | None = None
    received_at: Time | None = None
    by: str | None = None
    reason: str | None = None


class TimelineOut(View):
    """All that happened to a saga, in order."""

    saga_id: UUID
    items: list[TimelineEntryOut]
