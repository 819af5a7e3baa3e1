"""The definition of a saga as the API shows it: the same form for both styles."""

from enum import StrEnum

from shared.http.schemas import View


class StepKind(StrEnum):
    """What a step means for the saga (Garcia-Molina and Salem 1987, in Richardson's words)."""

    COMPENSATABLE = "compensatable"
    PIVOT = "pivot"
    RETRYABLE = "retryable"
    CLOSING = "closing"


class StepDefinition(View):
    """A step, in the order of the saga.

    Of an orchestrated saga, `action` and `compensation` are requests (`POST /orders`), and `events` is empty. Of a
    choreographed saga they are the event that requests the step and the event that reports its compensation, and
    `events` are all events of the step: requested, done, refused, compensated. The `closing` step runs only after a
    compensation.
    """

    name: str
    kind: StepKind
    service: str
    action: str
    compensation: str | None
    events: list[str]


class HandlerDefinition(View):
    """What a service does on an event: the events that it publishes, in order, if it could and if it could not."""

    event: str
    service: str
    then: list[str]
    otherwise: list[str]


class DefinitionOut(View):
    """What a saga is made of. `handlers` are those of a choreographed saga; an orchestrated one has none."""

    saga_pattern: str
    name: str
    steps: list[StepDefinition]
    handlers: list[HandlerDefinition]
