"""The states of sagas and steps that the API shows, the same for both styles."""

from enum import StrEnum


class StepStatus(StrEnum):
    """Of one step; `running` and `compensating` were asked for and have no answer yet."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    SKIPPED = "skipped"


class SagaStatus(StrEnum):
    """Of the saga; `stuck` goes on being retried, and wants a person to look."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    STUCK = "stuck"


ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED})
