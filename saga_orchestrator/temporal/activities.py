"""The two activities: attempt a command with the runtime's dispatcher, and write a saga with its checkpointer.

Both batch: attempts of many sagas at the same service share a request, and checkpoints share a transaction.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from temporalio import activity

from saga_orchestrator.config import Settings
from saga_orchestrator.runtime.active_saga import ActiveSaga, ActiveSagas, name_of
from saga_orchestrator.runtime.attempt import CommandAttempt
from saga_orchestrator.runtime.checkpoints import Checkpointer, Pending, PendingCheckpoint, Transaction
from saga_orchestrator.runtime.dispatcher import Attempts, CommandDispatcher
from saga_orchestrator.runtime.lease_renewal import LeaseRenewer
from saga_orchestrator.runtime.participants import Participants
from saga_orchestrator.runtime.serialization import as_json
from saga_orchestrator.runtime.state import Command, Refused, Succeeded, Unknown
from saga_orchestrator.runtime.store import CheckpointKind
from saga_orchestrator.runtime.versions import Versions
from saga_orchestrator.temporal.handover import is_handed_over
from saga_orchestrator.temporal.payloads import AttemptRequest, AttemptResult, CheckpointRequest, lease_from_document
from shared.saga.states import Direction

BEATS = 3  # heartbeats within the time after which a silent worker counts as gone
log = structlog.get_logger()


class ActivityFailed(Exception):
    """The activity has no result, because of a defect or because it came too early; Temporal retries it later."""


class _Attempted(ActiveSagas):
    """The sagas whose commands are attempted here. A lost saga does not wait for its outcome."""

    def __init__(self, lost: Callable[[Sequence[ActiveSaga]], None]) -> None:
        super().__init__(0, lambda: None)
        self._lost = lost

    def remove(self, sagas: Sequence[ActiveSaga]) -> None:
        super().remove(sagas)
        self._lost([saga for saga in sagas if saga.lost])


class SagaActivities:
    """The activities of one worker. Make it in the worker's event loop, to which the runtime's threads report."""

    def __init__(
        self, transaction: Transaction, versions: Versions[Any], settings: Settings, failed: Callable[[], None]
    ) -> None:
        """`failed` is called when the thread that writes progress ends: by a defect, or after `stop`."""
        self._loop = asyncio.get_running_loop()
        self._transaction = transaction
        self._versions = versions
        self._beat_seconds = settings.temporal_heartbeat_seconds / BEATS
        self._waiting: dict[ActiveSaga, asyncio.Future[bool]] = {}
        self._stopping = threading.Event()
        self._attempted = _Attempted(lambda sagas: self._report(sagas, False))
        self._checkpointer = Checkpointer(transaction, self._attempted, self._stopping)
        self._dispatcher = CommandDispatcher(Participants(versions.services, settings), settings, self._stopping)
        self._renewer = LeaseRenewer(settings, self._checkpointer, self._attempted, self._stopping, failed)

    def start(self) -> None:
        """Start the threads."""
        self._checkpointer.start(self)
        self._dispatcher.start(self)
        self._renewer.start()

    def stop(self) -> None:
        """Retry nothing more within an attempt; returns at once."""
        self._stopping.set()

    def close(self) -> None:
        """End the threads; call it after `stop`, when no activity runs."""
        self._dispatcher.close()
        self._renewer.join()
        self._checkpointer.close()

    @activity.defn
    async def attempt(self, request: AttemptRequest) -> AttemptResult:
        """Attempt a command. While that takes long, the saga's row shows its progress."""
        saga = ActiveSaga(lease_from_document(request.lease, self._versions))
        attempt = CommandAttempt(saga, Command(request.step, Direction(request.direction)))
        saga.start(attempt.command)
        self._attempted.add([saga])
        self._renewer.wake()
        try:
            known = await self._result(saga, lambda: self._dispatcher.dispatch([attempt]))
        finally:
            self._attempted.remove([saga])
        return _result_of(attempt, lost=not known)

    @activity.defn
    async def checkpoint(self, request: CheckpointRequest) -> bool:
        """Write a saga; return False if its lease had ended, so that nothing was written."""
        saga = ActiveSaga(lease_from_document(request.lease, self._versions))
        pending = PendingCheckpoint(saga, CheckpointKind(request.kind), request.due_in)
        state, written = saga.state, await self._result(saga, lambda: self._checkpointer.put([pending]))
        if written and pending.kind is CheckpointKind.END:
            log.info("ended", saga_id=saga.saga_id, status=state.status)
            saga.measure()
        if written and pending.kind is CheckpointKind.DECISION:
            log.info("compensating", saga_id=saga.saga_id, reason=state.error)
        for entry in request.lease["entries"]:
            if written and entry["kind"] == "stuck":
                log.error("stuck", saga_id=saga.saga_id, error=entry["detail"])
        return written

    def attempted(self, attempts: Attempts) -> None:
        """Called when the outcomes of these attempts are known."""
        self._report([attempt.saga for attempt in attempts], True)

    def abandoned(self, attempts: Attempts) -> None:
        """Called when a defect left these attempts without outcomes."""
        self._report([attempt.saga for attempt in attempts], None)

    def written(self, checkpoints: Pending) -> None:
        """Called when these checkpoints are in the database."""
        self._report([checkpoint.saga for checkpoint in checkpoints], True)

    async def _result(self, saga: ActiveSaga, submit: Callable[[], None]) -> bool:
        """Submit the work, and wait for its report, with heartbeats; return whether the saga's lease is valid.

        Raises `ActivityFailed`, also while it is not valid yet: Temporal may run a saga before its handover commits, or
        although its confirmation was lost. The handover is repeated then, and the activity, too.
        """
        reported = self._waiting[saga] = self._loop.create_future()
        try:
            submit()
            while not (await asyncio.wait([reported], timeout=self._beat_seconds))[0]:
                activity.heartbeat()
            known: bool = await reported
        except asyncio.CancelledError:
            log.info("lease lost", saga_id=saga.saga_id)  # another worker has the activity
            raise
        finally:
            del self._waiting[saga]
        if not known and not await asyncio.to_thread(self._is_handed_over, saga):
            raise ActivityFailed("the handover of the saga is not committed yet")
        return known

    def _is_handed_over(self, saga: ActiveSaga) -> bool:
        with self._transaction() as connection:
            return is_handed_over(connection, saga.lease)

    def _report(self, sagas: Sequence[ActiveSaga], known: bool | None) -> None:
        if sagas:
            self._loop.call_soon_threadsafe(self._settle, sagas, known)

    def _settle(self, sagas: Sequence[ActiveSaga], known: bool | None) -> None:
        for saga in sagas:
            reported = self._waiting.get(saga)
            if reported is not None and not reported.done():
                if known is None:
                    reported.set_exception(ActivityFailed("a defect; see the worker's log"))
                else:
                    reported.set_result(known)


def _result_of(attempt: CommandAttempt, *, lost: bool) -> AttemptResult:
    lease, outcome = attempt.saga.snapshot(), Unknown("its lease is over") if lost else attempt.outcome
    return AttemptResult(
        name_of(outcome),
        "" if isinstance(outcome, Succeeded) else outcome.error,
        isinstance(outcome, Refused) and outcome.contradicts,
        lost,
        json.loads(as_json(lease.entries)),
        None if lease.first_effect_at is None else lease.first_effect_at.isoformat(),
    )
