"""A saga in an executor's hand: its lease, and what was not written yet."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from saga_orchestrator.declaration import Step
from saga_orchestrator.domain import LeaseLost
from saga_orchestrator.engine import Command, Direction, Refused, SagaState, Succeeded
from saga_orchestrator.participants import Try
from saga_orchestrator.records import timeline_entry
from saga_orchestrator.store import Lease


class Hand:
    """Moved by the thread that drives the saga, written by that one or by the keeper of leases, under `lock`."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.lock = threading.Lock()
        self._deadline = time.monotonic() + lease.deadline_seconds
        self._written_at = time.monotonic()
        self._dirty = False
        self._lost = False

    def check(self) -> None:
        """Raise `LeaseLost` once the lease is known to be lost."""
        if self._lost:
            raise LeaseLost(f"epoch {self.lease.epoch} of saga {self.lease.checkout.saga_id} is over")

    def lose(self) -> None:
        """The lease went to somebody else."""
        self._lost = True

    def move(self, state: SagaState) -> None:
        """The saga went on."""
        with self.lock:
            self.lease.state = state
            self._dirty = True

    def learn(self, step: Step, command: Command, body: Mapping[str, Any]) -> None:
        """Take over what a step's answer tells; raises what the step's `learn` raises."""
        if step.learn is not None and command.direction is Direction.ACTION:
            checkout = step.learn(self.lease.checkout, body)
            with self.lock:
                self.lease.checkout = checkout

    def tried(self, command: Command, attempt: Try) -> None:
        """Note one request of an attempt for the timeline."""
        outcome = attempt.outcome
        task = self.lease.state.task(command.step)
        name = (
            "succeeded" if isinstance(outcome, Succeeded) else "refused" if isinstance(outcome, Refused) else "unknown"
        )
        entry = {
            "step": command.step,
            "direction": command.direction,
            "attempt": task.attempts if command.direction is Direction.ACTION else task.undo_attempts,
            "outcome": name,
            "started_at": attempt.started_at,
            "finished_at": attempt.finished_at,
            "detail": None if isinstance(outcome, Succeeded) else outcome.error,
        }
        self._add("attempt", entry)

    def note(self, kind: str, detail: str | None = None) -> None:
        """Note something that happened to the saga as a whole."""
        self._add(kind, {"detail": detail})

    def deadline_left(self) -> float:
        """Seconds in which the saga may still go forward; the database's clock said so when it was taken."""
        return self._deadline - time.monotonic()

    def wants_write(self, oldest: float, renew_after: float) -> bool:
        """Whether people see a state older than `oldest` (monotonic), or the lease is to be renewed."""
        return (self._dirty and self._written_at < oldest) or self._written_at < time.monotonic() - renew_after

    def written(self) -> None:
        """All of it is in the database now. Call with the lock held."""
        self.lease.entries.clear()
        self._dirty = False
        self._written_at = time.monotonic()

    def _add(self, kind: str, values: Mapping[str, Any]) -> None:
        entry = timeline_entry(self.lease.checkout.saga_id, kind, executor=self.lease.owner, **values)
        with self.lock:
            self.lease.entries.append(entry)
            self._dirty = True
