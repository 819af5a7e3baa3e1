"""The values that the engine works with: the state of a saga, a command, and the outcome of a command."""

from dataclasses import dataclass

from shared.saga.states import Direction, SagaStatus, StepStatus


@dataclass(frozen=True)
class StepState:
    """The state of one step. The two counts are of attempts at its action and at its compensation.

    A failed step keeps the status `failed`; `compensated` records that its compensation has succeeded, too.
    """

    name: str
    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    compensation_attempts: int = 0
    error: str | None = None
    compensated: bool = False


@dataclass(frozen=True)
class SagaState:
    """The state of a saga; `unanswered` counts the failed attempts at its present command.

    `was_completed`: it had been completed when it turned back.
    """

    steps: tuple[StepState, ...]
    backward: bool = False
    ended: bool = False
    stuck: bool = False
    unanswered: int = 0
    error: str | None = None
    was_completed: bool = False

    def step(self, name: str) -> StepState:
        """Return the state of the step with this name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def retrying(self) -> bool:
        """Whether the present command was attempted and has not succeeded."""
        return self.unanswered > 0 and not self.ended

    @property
    def failed_step(self) -> str | None:
        """The step because of which the saga turned back; None when an operator turned it back."""
        return next((step.name for step in self.steps if step.status is StepStatus.FAILED), None)

    @property
    def status(self) -> SagaStatus:
        """The status as people see it."""
        if self.ended:
            return SagaStatus.COMPENSATED if self.backward else SagaStatus.COMPLETED
        if self.stuck:
            return SagaStatus.STUCK
        if self.backward:
            return SagaStatus.COMPENSATING
        begun = any(step.attempts > 0 for step in self.steps)
        return SagaStatus.RUNNING if begun else SagaStatus.PENDING


@dataclass(frozen=True)
class Command:
    """An action or a compensation of a step, to be sent to its participant."""

    step: str
    direction: Direction


@dataclass(frozen=True)
class Succeeded:
    """The participant has done the command, now or before."""


@dataclass(frozen=True)
class Refused:
    """The participant did not do the command, and never will.

    `contradicts`: the participant did the step for another request that differs from this saga's, and so did nothing
    for this saga.
    """

    error: str
    contradicts: bool = False


@dataclass(frozen=True)
class Unknown:
    """The command may or may not have been done. `deadline_passed`: whether the saga's forward deadline has passed."""

    error: str
    deadline_passed: bool = False


Outcome = Succeeded | Refused | Unknown
