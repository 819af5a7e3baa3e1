"""A saga that this executor has leased, with the timeline entries that are not in the database yet."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from saga_orchestrator.runtime.definition import SagaDefinition
from saga_orchestrator.runtime.engine import started
from saga_orchestrator.runtime.leases import Lease
from saga_orchestrator.runtime.participants import CommandReply
from saga_orchestrator.runtime.serialization import timeline_entry
from saga_orchestrator.runtime.state import Command, Outcome, Refused, SagaState, Succeeded
from shared import metrics, telemetry
from shared.saga.states import Direction

# A command that keeps failing gets a timeline entry for each of its first attempts: by default, those until the saga is
# stuck. All later attempts share one entry, which describes the latest, so the size of a timeline is bounded.
KEPT_ATTEMPTS = 10


STYLE = "orchestrated"  # of all sagas that the runtime runs


class ActiveSaga:
    """One thread at a time advances the saga. Another one may write a snapshot, so a lock protects what both use."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.saga_id = str(lease.saga.saga_id)
        self.command: Command | None = None  # the command that is being sent, or is about to be
        self.lost = False  # whether another executor leased the saga, or an operator turned it back
        self._lock = threading.Lock()
        self._deadline = time.monotonic() + lease.deadline_seconds
        self._written_at = time.monotonic()
        self._dirty = False

    @property
    def definition(self) -> SagaDefinition[Any]:
        """The definition by which the saga runs."""
        return self.lease.definition

    @property
    def state(self) -> SagaState:
        """The state after the engine's latest decision."""
        return self.lease.state

    def start(self, command: Command) -> None:
        """Set the saga's command, and count an attempt at it."""
        self.command = command
        self.advance(started(self.state, command))

    def advance(self, state: SagaState) -> None:
        """Replace the state; the next snapshot contains it."""
        with self._lock:
            self.lease.state = state
            self._dirty = True

    def record_request(self, command: Command, started_at: datetime, reply: CommandReply) -> None:
        """Add a timeline entry for one HTTP request of an attempt, which ends now."""
        outcome, finished_at = reply.outcome, datetime.now(UTC)
        if isinstance(outcome, Succeeded) and not self.state.backward:
            self.lease.first_effect_at = self.lease.first_effect_at or finished_at
        step = self.state.step(command.step)
        number = step.attempts if command.direction is Direction.ACTION else step.compensation_attempts
        self._add_entry(
            "attempt",
            **({} if isinstance(outcome, Succeeded) else self._shared_id(command, number)),
            step=command.step,
            direction=command.direction,
            attempt=number,
            started_at=started_at,
            finished_at=finished_at,
            detail=None if isinstance(outcome, Succeeded) else outcome.error,
            **{**vars(reply), "outcome": name_of(outcome)},
        )

    def record(self, kind: str, detail: str | None = None) -> None:
        """Add a timeline entry about the saga as a whole."""
        self._add_entry(kind, detail=detail)

    def measure(self) -> None:
        """Measure how long the saga took, and end its trace; call it when its end is written."""
        lease, state = self.lease, self.state
        telemetry.begin(f"saga {state.status}", "INTERNAL", lease.saga.trace or telemetry.ROOT).end()
        status = metrics.UNDONE if state.was_completed else state.status
        metrics.saga_ended(STYLE, status, lease.saga.saga_id, datetime.now(UTC), lease.first_effect_at)

    def seconds_to_deadline(self) -> float:
        """Seconds until the forward deadline, negative after it; by the database's clock when the lease began."""
        return self._deadline - time.monotonic()

    def needs_checkpoint(self, oldest: float, renew_after: float) -> bool:
        """Whether the stored state is older than `oldest` (monotonic), or the lease must be renewed."""
        return (self._dirty and self._written_at < oldest) or self._written_at < time.monotonic() - renew_after

    def snapshot(self) -> Lease:
        """Copy the saga's lease, to be written while the saga continues."""
        with self._lock:
            return replace(self.lease, entries=self.lease.entries.copy())

    def mark_written(self, snapshot: Lease) -> None:
        """Record that the database has this snapshot."""
        with self._lock:
            del self.lease.entries[: len(snapshot.entries)]
            self._dirty = self.lease.state is not snapshot.state or bool(self.lease.entries)
            self._written_at = time.monotonic()

    def _shared_id(self, command: Command, number: int) -> dict[str, UUID]:
        """The id of the entry that all attempts in a row after the first `KEPT_ATTEMPTS` share; empty for those."""
        before = self.state.unanswered
        if before < KEPT_ATTEMPTS:
            return {}
        row = f"{command.step} {command.direction} since attempt {number - before}"
        return {"id": uuid5(self.lease.saga.saga_id, row)}

    def _add_entry(self, kind: str, **values: Any) -> None:
        entry = timeline_entry(self.lease.saga.saga_id, kind, executor=self.lease.owner, **values)
        with self._lock:
            self.lease.entries.append(entry)
            self._dirty = True


def name_of(outcome: Outcome) -> str:
    """Return the outcome's name in the timeline."""
    if isinstance(outcome, Succeeded):
        return "succeeded"
    return "refused" if isinstance(outcome, Refused) else "unknown"


class ActiveSagas:
    """All sagas that this executor has leased, at most `capacity`. Thread-safe."""

    def __init__(self, capacity: int, freed: Callable[[], None]) -> None:
        """`freed` is called when there is capacity again after there was none."""
        self._capacity = capacity
        self._freed = freed
        self._changed = threading.Condition()
        self._sagas: set[ActiveSaga] = set()
        self._reserved = 0
        self._closed = False

    def add(self, sagas: Sequence[ActiveSaga]) -> None:
        """Add sagas that were just leased."""
        with self._changed:
            self._sagas.update(sagas)

    def remove(self, sagas: Sequence[ActiveSaga]) -> None:
        """Remove sagas that ended, were relinquished, or were lost."""
        with self._making_room():
            self._sagas.difference_update(sagas)

    @contextmanager
    def reserving(self, count: int | None = None) -> Iterator[int]:
        """Reserve capacity for `count` sagas, which the block may `add`. Yields 0 without it, and after `close`.

        Without `count`, reserves the free capacity, at most half of all, so that others may reserve meanwhile.
        """
        with self._changed:
            room = 0 if self._closed else self.room()
            if count is None:
                count = min(room, (self._capacity + 1) // 2)
            reserved = count if count <= room else 0
            self._reserved += reserved
        try:
            yield reserved
        finally:
            with self._making_room():
                self._reserved -= reserved

    def close(self) -> None:
        """Reserve no more; returns when no saga is active. Call it after claims have stopped."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._sagas and not self._reserved)

    def room(self) -> int:
        """The free capacity."""
        return max(0, self._capacity - len(self._sagas) - self._reserved)

    @contextmanager
    def _making_room(self) -> Iterator[None]:
        with self._changed:
            was_full = not self.room()
            yield
            freed = was_full and self.room() > 0
            if not self._sagas and not self._reserved:
                self._changed.notify_all()
        if freed:
            self._freed()

    def __iter__(self) -> Iterator[ActiveSaga]:
        with self._changed:
            return iter(tuple(self._sagas))

    def __len__(self) -> int:
        return len(self._sagas)
