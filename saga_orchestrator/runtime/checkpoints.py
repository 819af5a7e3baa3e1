"""Writes the states of sagas: all waiting ones in one transaction (group commit), each under its own lease."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy import Connection

from saga_orchestrator.runtime import store
from saga_orchestrator.runtime.active_saga import ActiveSaga, ActiveSagas
from saga_orchestrator.runtime.store import Checkpoint, CheckpointKind
from shared.batching.policy import BatchPolicy
from shared.batching.queue import BatchQueue
from shared.database.connections import is_unavailable
from shared.process import crash_points, heartbeat

DATABASE_RETRY_SECONDS = 0.5  # between two tries while the database is unavailable
GROUP_COMMIT = BatchPolicy(max_size=100)  # takes the database some milliseconds
log = structlog.get_logger()
Transaction = Callable[[], AbstractContextManager[Connection]]  # commits at its end, rolls back on an error


@dataclass(frozen=True, eq=False)
class PendingCheckpoint:
    """A saga to write, and the seconds until it is due again (None: never, since it has ended)."""

    saga: ActiveSaga
    kind: CheckpointKind
    due_in: float | None = None

    def taken(self) -> Checkpoint:
        """The saga's present state, as a checkpoint."""
        return Checkpoint(self.kind, self.saga.snapshot(), self.due_in)


Pending = Sequence[PendingCheckpoint]


class CheckpointObserver(Protocol):
    """Continues sagas after their checkpoints."""

    def written(self, checkpoints: Pending) -> None:
        """Called when these checkpoints are in the database."""


class Checkpointer:
    """Runs one transaction at a time, so that the last written state of a saga is the latest one."""

    _observer: CheckpointObserver

    def __init__(self, transaction: Transaction, active: ActiveSagas, stopping: threading.Event) -> None:
        """Sagas that ended, were relinquished, or were lost are removed from `active`."""
        self._transaction = transaction
        self._active = active
        self._stopping = stopping
        self._one_at_a_time = threading.Lock()
        self._queue: BatchQueue[PendingCheckpoint] = BatchQueue("writes", self._write, self._leave, GROUP_COMMIT)

    def start(self, observer: CheckpointObserver) -> None:
        """Start the writing thread; `observer` is called with the checkpoints that were put and are written."""
        self._observer = observer
        self._queue.start()

    def close(self) -> None:
        """Write the queued checkpoints, then end the thread."""
        self._queue.close()

    def put(self, pending: Pending) -> None:
        """Queue these checkpoints; returns at once."""
        self._queue.put(pending)

    def write_progress(self, wanted: Callable[[ActiveSaga], bool], lease_seconds: float) -> None:
        """Write the active sagas that `wanted` selects and renew their leases; raises while the database is away."""
        with self._one_at_a_time:
            sagas = [saga for saga in self._active if not saga.state.ended and wanted(saga)]
            self._write_each([PendingCheckpoint(saga, CheckpointKind.PROGRESS, lease_seconds) for saga in sagas])

    def _write(self, pending: Pending) -> None:
        with self._one_at_a_time:
            written = self._write_until_available(pending)
            self._active.remove([each.saga for each in written if each.kind is not CheckpointKind.DECISION])
        self._observer.written(written)

    def _write_until_available(self, pending: Pending) -> list[PendingCheckpoint]:
        """Write; retry while the database is unavailable. Raises only while stopping."""
        while True:
            try:
                return self._write_each(pending)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("checkpoints failed", count=len(pending), error=str(error).splitlines()[0])
                heartbeat.beat()
                if self._stopping.wait(DATABASE_RETRY_SECONDS):
                    raise

    def _write_each(self, pending: Pending) -> list[PendingCheckpoint]:
        """Write all in one transaction, or else one by one, so that each fails alone; return those written."""
        if not pending:
            return []
        try:
            return self._write_at_once(pending)
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(pending) == 1:
                log.exception("saga left to its lease", saga_id=pending[0].saga.saga_id)
                self._leave(pending)
                return []
            log.warning("checkpoints failed together", count=len(pending), error=str(error).splitlines()[0])
            return [written for each in pending for written in self._write_each([each])]

    def _write_at_once(self, pending: Pending) -> list[PendingCheckpoint]:
        checkpoints = [each.taken() for each in pending]
        kinds = dict.fromkeys(each.kind for each in pending)
        with self._transaction() as connection:
            lost = store.save(connection, checkpoints)
            for kind in kinds:
                crash_points.reach(f"executor.before_write.{kind}")
        for kind in kinds:
            crash_points.reach(f"executor.after_write.{kind}")
        for each, checkpoint in zip(pending, checkpoints, strict=True):
            if checkpoint.saga_id in lost:
                self._lose(each.saga)
            else:
                each.saga.mark_written(checkpoint.lease)
        return [each for each in pending if not each.saga.lost]

    def _lose(self, saga: ActiveSaga) -> None:
        """Stop running a saga that another executor has leased, or that an operator has turned back."""
        saga.lost = True
        self._active.remove([saga])
        log.info("lease lost", saga_id=saga.saga_id, fencing_token=saga.lease.fencing_token)

    def _leave(self, pending: Pending) -> None:
        """Stop running these sagas without a checkpoint; any executor may claim them when their leases have expired."""
        for each in pending:
            each.saga.lost = True
        self._active.remove([each.saga for each in pending])
