"""The saga as a pure state machine: (state, outcome) -> (new state, next command). No I/O and no clock.

    state = begin(saga)
    while (command := next_command(saga, state)) is not None:
        state = apply(saga, started(state, command), command, outcome_of(command))

The state must be durable at the beginning, before the pivot is asked for, when it turns back, and at the end.

Rules: a definite no before the pivot compensates; what is unknown is asked again, before the pivot only until the
deadline; from the pivot on there is only forward; compensations run in reverse order over every step that may have
run, the one in doubt and the one that failed too, until they succeed.

The state must be durable at the beginning, before the pivot is asked for, when it turns back, and at the end.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from saga_orchestrator.declaration import Saga, Step
from shared.saga_states import SagaStatus, StepStatus


class Direction(StrEnum):
    """Which half of a step a command is."""

    ACTION = "action"
    COMPENSATION = "compensation"


# What a step is called when its compensation is done, by what it was called before.
_UNDONE = {
    StepStatus.PENDING: StepStatus.SKIPPED,  # as far as is known it never ran; now it never will
    StepStatus.FAILED: StepStatus.FAILED,
    StepStatus.COMPENSATING: StepStatus.COMPENSATED,
}


@dataclass(frozen=True)
class StepState:
    """Where one step is; `attempts` and `undo_attempts` count its actions and its compensations that were sent.

    A step that failed stays `failed`, also when its compensation made sure that it left nothing (`undone`).
    """

    name: str
    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    undo_attempts: int = 0
    error: str | None = None
    undone: bool = False


@dataclass(frozen=True)
class SagaState:
    """All that decides what comes next; `unanswered` counts the attempts of the present command."""

    tasks: tuple[StepState, ...]
    backward: bool = False
    ended: bool = False
    stuck: bool = False
    unanswered: int = 0
    error: str | None = None

    def task(self, name: str) -> StepState:
        """The state of one task."""
        return next(task for task in self.tasks if task.name == name)

    @property
    def status(self) -> SagaStatus:
        """The status that people see."""
        if self.ended:
            return SagaStatus.COMPENSATED if self.backward else SagaStatus.COMPLETED
        if self.stuck:
            return SagaStatus.STUCK
        if self.backward:
            return SagaStatus.COMPENSATING
        begun = any(task.status is not StepStatus.PENDING for task in self.tasks)
        return SagaStatus.RUNNING if begun else SagaStatus.PENDING


@dataclass(frozen=True)
class Command:
    """Ask for a step's action or its compensation."""

    step: str
    direction: Direction


@dataclass(frozen=True)
class Succeeded:
    """It was done, now or before."""


@dataclass(frozen=True)
class Refused:
    """A definite no: it was not done and will not be."""

    error: str


@dataclass(frozen=True)
class Unknown:
    """It may have been done. `deadline_passed` says whether the saga's time to go forward is over."""

    error: str
    deadline_passed: bool = False


Outcome = Succeeded | Refused | Unknown


def begin(saga: Saga) -> SagaState:
    """The state of a saga that was accepted and has done nothing."""
    return SagaState(tuple(StepState(step.name) for step in saga.tasks))


def next_command(saga: Saga, state: SagaState) -> Command | None:
    """What to ask for next; None when the saga has ended."""
    if state.ended:
        return None
    if not state.backward:
        return Command(_first_undone(saga, state), Direction.ACTION)
    for step in reversed(_undoable(saga)):
        if _to_undo(state, step):
            return Command(step.name, Direction.COMPENSATION)
    return Command(saga.closing.name, Direction.ACTION)


def started(state: SagaState, command: Command) -> SagaState:
    """The state once the command is on its way."""
    task = state.task(command.step)
    if command.direction is Direction.ACTION:
        return _with(state, command.step, status=StepStatus.RUNNING, attempts=task.attempts + 1)
    ran = task.status in {StepStatus.RUNNING, StepStatus.SUCCEEDED}
    status = StepStatus.COMPENSATING if ran else task.status
    return _with(state, command.step, status=status, undo_attempts=task.undo_attempts + 1)


def crosses_pivot(saga: Saga, state: SagaState, command: Command) -> bool:
    """Whether the command is the pivot's first: the state must be durable before it goes out.

    Whoever takes the saga up after a crash must know that from here on there is only forward.
    """
    is_pivot = saga.pivot is not None and command == Command(saga.pivot.name, Direction.ACTION)
    return is_pivot and state.task(command.step).attempts == 0


def apply(saga: Saga, state: SagaState, command: Command, outcome: Outcome, stuck_after: int = 10) -> SagaState:
    """The state after the command's outcome; `stuck_after` unanswered attempts ask for a person's attention."""
    if isinstance(outcome, Succeeded):
        return _succeeded(saga, state, command)
    if _may_turn_back(saga, state, command, outcome):
        failed = _with(state, command.step, status=StepStatus.FAILED, error=outcome.error)
        turned = turn_back(saga, failed, f"{command.step}: {outcome.error}")
        if command.step == saga.opening.name and isinstance(outcome, Refused):
            return _left_alone(saga, turned)
        return turned
    unanswered = state.unanswered + 1
    waits_for_ever = state.backward or not _before_pivot(saga, command.step)
    again = replace(state, unanswered=unanswered, stuck=waits_for_ever and unanswered >= stuck_after)
    return _with(again, command.step, error=outcome.error)


def turn_back(saga: Saga, state: SagaState, reason: str) -> SagaState:
    """The decision to compensate: from here on only backward. Also undoes a saga that was completed.

    Every step before the pivot is undone, whether it is known to have run or not: somebody who had the saga before
    may have gone further than was written. The pivot is written before it is asked for, so that one is known.
    """
    if state.backward:
        return state
    turned = replace(state, backward=True, ended=False, stuck=False, unanswered=0, error=reason)
    if saga.pivot is not None and turned.task(saga.pivot.name).status is StepStatus.PENDING:
        return _with(turned, saga.pivot.name, status=StepStatus.SKIPPED)
    return turned


def hurried(state: SagaState) -> SagaState:
    """The state when a person asks to try again now: no longer stuck, counted anew."""
    return replace(state, stuck=False, unanswered=0)


def _succeeded(saga: Saga, state: SagaState, command: Command) -> SagaState:
    if command.direction is Direction.ACTION:
        after = _with(state, command.step, status=StepStatus.SUCCEEDED, error=None)
    else:
        after = _with(state, command.step, status=_UNDONE[state.task(command.step).status], undone=True)
    after = replace(after, stuck=False, unanswered=0)
    if command.step == saga.closing.name:
        return replace(after, ended=True)
    if not after.backward and _first_undone(saga, after) == saga.closing.name:
        return replace(after, ended=True)
    return after


def _first_undone(saga: Saga, state: SagaState) -> str:
    return next(
        (step.name for step in saga.tasks if state.task(step.name).status is not StepStatus.SUCCEEDED),
        saga.closing.name,
    )


def _may_turn_back(saga: Saga, state: SagaState, command: Command, outcome: Refused | Unknown) -> bool:
    if state.backward:
        return False
    if isinstance(outcome, Refused):
        is_pivot = saga.pivot is not None and command.step == saga.pivot.name
        return is_pivot or _before_pivot(saga, command.step)
    return outcome.deadline_passed and _before_pivot(saga, command.step)


def _before_pivot(saga: Saga, name: str) -> bool:
    return name == saga.opening.name or any(step.name == name for step in saga.compensatable)


def _undoable(saga: Saga) -> tuple[Step, ...]:
    return tuple(step for step in saga.steps if step.undo is not None)


def _to_undo(state: SagaState, step: Step) -> bool:
    task = state.task(step.name)
    return not task.undone and task.status is not StepStatus.SKIPPED


def _left_alone(saga: Saga, turned: SagaState) -> SagaState:
    """The end of a saga whose cart was never its own: there is nothing to undo, and nothing to close."""
    for step in saga.steps:
        turned = _with(turned, step.name, status=StepStatus.SKIPPED)
    return replace(turned, ended=True)


def _with(state: SagaState, name: str, **changes: object) -> SagaState:
    tasks = tuple(replace(task, **changes) if task.name == name else task for task in state.tasks)  # type: ignore[arg-type]
    return replace(state, tasks=tasks)
