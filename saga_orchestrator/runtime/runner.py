"""Runs sagas: asks the engine for each saga's next command, then has it sent, or the saga's state written."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from saga_orchestrator.runtime.active_saga import ActiveSaga, ActiveSagas
from saga_orchestrator.runtime.attempt import CommandAttempt
from saga_orchestrator.runtime.back_off import back_off
from saga_orchestrator.runtime.checkpoints import Checkpointer, PendingCheckpoint, Transaction
from saga_orchestrator.runtime.dispatcher import CommandDispatcher
from saga_orchestrator.runtime.engine import apply, crosses_pivot, next_command
from saga_orchestrator.runtime.participants import Participants
from saga_orchestrator.runtime.settings import RuntimeSettings
from saga_orchestrator.runtime.state import Outcome, Succeeded, Unknown
from saga_orchestrator.runtime.store import CheckpointKind

log = structlog.get_logger()
Work = CommandAttempt | PendingCheckpoint
T = TypeVar("T")


class SagaRunner:
    """Runs sagas by callbacks, so that no thread waits for a saga.

    The dispatcher and the checkpointer call it from their threads when they have finished; it decides what follows.
    """

    def __init__(
        self,
        transaction: Transaction,
        participants: Participants,
        settings: RuntimeSettings,
        active: ActiveSagas,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._active = active
        self._stopping = stopping
        self.checkpointer = Checkpointer(transaction, active, stopping)
        self._dispatcher = CommandDispatcher(participants, settings, stopping)

    def start(self, ended: Callable[[Sequence[str]], None]) -> None:
        """Start the threads; `ended` is called with the ids of sagas that have ended, after that is written."""
        self._ended = ended
        self.checkpointer.start(self)
        self._dispatcher.start(self)

    def close(self) -> None:
        """End the threads; call it when no saga is active."""
        self._dispatcher.close()
        self.checkpointer.close()

    def run(self, sagas: Sequence[ActiveSaga]) -> None:
        """Start running these sagas. Each runs until it has ended, is relinquished to wait for a retry, or is lost."""
        self._do([work for saga in sagas if (work := self._unless_defect(saga, self._next, saga))])

    def attempted(self, attempts: Sequence[CommandAttempt]) -> None:
        """Decide what follows these attempts; called by the dispatcher when it has their outcomes."""
        known = [attempt for attempt in attempts if not attempt.saga.lost]
        self._do([work for attempt in known if (work := self._unless_defect(attempt.saga, self._after, attempt))])

    def abandoned(self, attempts: Sequence[CommandAttempt]) -> None:
        """Remove the sagas of these attempts; they are claimed again when their leases have expired."""
        self._active.remove([attempt.saga for attempt in attempts])

    def written(self, checkpoints: Sequence[PendingCheckpoint]) -> None:
        """Continue after decisions; called by the checkpointer when these are in the database."""
        ended = [each.saga for each in checkpoints if each.kind is CheckpointKind.END]
        if ended:
            self._ended([saga.saga_id for saga in ended])
        for saga in ended:
            log.info("ended", saga_id=saga.saga_id, status=saga.state.status)
            saga.measure()
        self.run([each.saga for each in checkpoints if each.kind is CheckpointKind.DECISION])

    def _unless_defect(self, saga: ActiveSaga, decide: Callable[[T], Work], argument: T) -> Work | None:
        """Return the result of `decide`. If it raises, which is a defect, only this saga is left to its lease."""
        try:
            return decide(argument)
        except Exception:
            log.exception("saga left to its lease", saga_id=saga.saga_id)
            self._active.remove([saga])
            return None

    def _do(self, work: Sequence[Work]) -> None:
        if checkpoints := [each for each in work if isinstance(each, PendingCheckpoint)]:
            self.checkpointer.put(checkpoints)
        if attempts := [each for each in work if isinstance(each, CommandAttempt)]:
            self._dispatcher.dispatch(attempts)

    def _next(self, saga: ActiveSaga) -> Work:
        if saga.command is not None:  # the checkpoint before the pivot's command is written
            return CommandAttempt(saga, saga.command)
        command = next_command(saga.definition, saga.state)
        if command is None:
            saga.record(saga.state.status)
            return PendingCheckpoint(saga, CheckpointKind.END)
        if self._stopping.is_set():
            return PendingCheckpoint(saga, CheckpointKind.RELINQUISH, 0.0)
        crosses = crosses_pivot(saga.definition, saga.state, command)
        saga.start(command)
        return self._decision(saga) if crosses else CommandAttempt(saga, command)

    def _after(self, attempt: CommandAttempt) -> Work:
        """Decide what follows an attempt. The decision to compensate is durable before a compensation is sent."""
        saga, outcome = attempt.saga, attempt.outcome
        before = saga.state
        self._apply(attempt, outcome)
        if saga.state.backward and not before.backward:
            log.info("compensating", saga_id=saga.saga_id, reason=saga.state.error)
            saga.record("compensating", detail=saga.state.error)
            if not saga.state.ended:
                return self._decision(saga)
        elif not isinstance(outcome, Succeeded):
            return PendingCheckpoint(saga, CheckpointKind.RELINQUISH, self._back_off(saga))
        return self._next(saga)

    def _apply(self, attempt: CommandAttempt, outcome: Outcome) -> None:
        saga, before = attempt.saga, attempt.saga.state
        if isinstance(outcome, Unknown):
            outcome = Unknown(outcome.error, deadline_passed=saga.seconds_to_deadline() <= 0)
        saga.command = None
        saga.advance(apply(saga.definition, before, attempt.command, outcome, self._settings.stuck_after_attempts))
        if saga.state.stuck and not before.stuck:
            error = saga.state.step(attempt.command.step).error
            log.error("stuck", saga_id=saga.saga_id, step=attempt.command.step, error=error)
            saga.record("stuck", detail=error)

    def _decision(self, saga: ActiveSaga) -> PendingCheckpoint:
        return PendingCheckpoint(saga, CheckpointKind.DECISION, self._settings.lease_seconds)

    def _back_off(self, saga: ActiveSaga) -> float:
        """Return the seconds until the next attempt."""
        first, most = self._settings.retry_first_seconds, self._settings.retry_most_seconds
        left = None if saga.state.backward else saga.seconds_to_deadline()
        return back_off(first, most, saga.state.unanswered, left, random.uniform)
