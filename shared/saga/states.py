"""The states of sagas and steps, and the two directions of a step, the same for both styles."""

from enum import StrEnum


class Direction(StrEnum):
    """Whether a command or a request is for a step's action or for its compensation."""

    ACTION = "action"
    COMPENSATION = "compensation"


class StepStatus(StrEnum):
    """The status of a step; `running` and `compensating` mean requested, without an answer yet."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    SKIPPED = "skipped"


class SagaStatus(StrEnum):
    """The status of a saga; a `stuck` one is retried without end, and needs a person."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    STUCK = "stuck"


ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED})
