"""What people are shown of sagas, and ask of them: the same in either style."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, create_model

from shared.http.schemas import Address, Body, Money, OneLine, PaymentMethod, Time, UserId, View
from shared.saga.states import SagaStatus, StepStatus


class CheckoutIn(Body):
    """What to check out. `saga_id` is for carrito, which names the saga when it freezes the cart."""

    cart_id: UUID
    user_id: UserId
    payment_method: PaymentMethod
    billing_address: Address
    saga_id: UUID | None = None


class OperatorIn(Body):
    """Why an operator acts on a saga, and the operator's name."""

    reason: OneLine = Field(default="requested by an operator", examples=["the shopper changed their mind"])
    by: OneLine = Field(default="an operator", examples=["olga"])


class SagaPath(Body):
    """A saga."""

    saga_id: UUID


def _flag(value: object) -> object:
    """Parse a boolean of a query; OpenAPI allows nothing but these two words."""
    words = {"true": True, "false": False}
    if isinstance(value, str) and value not in words:
        raise ValueError("must be true or false")
    return words.get(value, value) if isinstance(value, str) else value


class ListQuery(Body):
    """Which sagas: those that match every field."""

    saga_id: list[UUID] = Field(default=[], max_length=50, description="any of these: the parameter may be repeated")
    status: SagaStatus | None = None
    cart_id: UUID | None = None
    user_id: UserId | None = None
    order_id: UUID | None = None
    payment_method: PaymentMethod | None = None
    retrying: Annotated[bool | None, BeforeValidator(_flag)] = Field(
        default=None,
        description="whether it waits for another attempt at what did not succeed; of a choreographed saga, whether "
        "its events were sent again and nothing was heard since",
    )
    failed_step: str | None = None
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


def list_query_of(steps: Sequence[str]) -> type[ListQuery]:
    """`ListQuery` for sagas that turn back because of one of these steps: it refuses any other name."""
    name: Any = Literal[tuple(steps)]
    field: Any = (name | None, Field(default=None, description="the step because of which it turned back"))
    return create_model("ListQuery", __base__=ListQuery, __doc__=ListQuery.__doc__, failed_step=field)


class AcceptedOut(View):
    """The saga is durable, and will end."""

    saga_id: UUID
    status: str = "pending"
    cart_id: UUID
    user_id: str
    payment_method: str


class StepOut(View):
    """A step. Attempts and times are its action's, null before it; its compensation's are in the timeline."""

    name: str
    status: StepStatus
    attempts: int
    compensation_attempts: int
    started_at: Time | None
    finished_at: Time | None
    error: str | None


class SagaOut(View):
    """A saga. `payment_id` and `order_id` are null until they have been requested.

    `turned_back` says whether it is being or was compensated: of a stuck saga `status` does not tell, and steps tell
    only what is known of them.
    `fault` names the faults that are injected into it, as its checkout's `X-Fault` said.
    """

    saga_id: UUID
    status: SagaStatus
    saga_pattern: str
    cart_id: UUID
    user_id: str | None
    payment_method: str | None
    total: Money | None
    order_id: UUID | None
    payment_id: UUID | None
    turned_back: bool
    error: str | None
    fault: str | None
    steps: list[StepOut]
    created_at: Time
    updated_at: Time
    ended_at: Time | None


class SagaSummary(View):
    """A saga in a list.

    `step` is the step that the saga is at; once it has ended, the step because of which it turned back. `direction`
    says whether it is at the step's `action` or `compensation`, and `attempts` counts the attempts at that. While it is
    `retrying`, `error` is the error of the latest attempt and `next_try_at` the time of the next one (null during an
    attempt); otherwise `error` says why the saga turned back.

    From `first_effect_at` to `ended_at` the services disagree about the saga. `first_effect_at` is when its first step
    took effect; of a completed saga that is compensated later, when that began.

    `fault` names the faults that are injected into it, as the `X-Fault` of its checkout said.
    """

    saga_id: UUID
    status: SagaStatus
    saga_pattern: str
    cart_id: UUID
    user_id: str | None
    payment_method: str | None
    total: Money | None
    order_id: UUID | None
    error: str | None
    step: str | None
    direction: str | None
    attempts: int
    retrying: bool
    next_try_at: Time | None
    failed_step: str | None
    first_effect_at: Time | None
    fault: str | None
    created_at: Time
    updated_at: Time
    ended_at: Time | None


class SagasOut(View):
    """A page of sagas, newest first; `next_cursor` is null on the last one.

    With more than one filter, a page may have fewer items than `limit`, or none, although another page follows.
    """

    items: list[SagaSummary]
    next_cursor: UUID | None
