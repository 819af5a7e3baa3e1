"""A saga as a workflow: asks the engine for the saga's next command, and has an activity attempt it.

Temporal keeps a history of each workflow. After a crash another worker runs this code again up to the same point. So
the clock, random numbers and ids come from the workflow, and activities do all I/O.
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime.back_off import back_off
from saga_orchestrator.runtime.engine import apply, next_command, reset_retries, started, turn_back
from saga_orchestrator.runtime.serialization import state_from_json, state_to_json, timeline_entry
from saga_orchestrator.runtime.state import Command, Outcome, Refused, Succeeded, Unknown
from saga_orchestrator.runtime.store import CheckpointKind
from saga_orchestrator.temporal.payloads import (
    AttemptRequest,
    AttemptResult,
    CheckpointRequest,
    LeaseDocument,
    SagaStart,
)
from shared.saga.states import SagaStatus

# Set when a saga turns back or is stuck, and kept from then on. Most sagas complete, and set nothing.
STATUS = SearchAttributeKey.for_keyword("SagaStatus")
TOLD = frozenset({SagaStatus.COMPENSATING, SagaStatus.STUCK})
# For activities whose worker died, or that failed by a defect. The engine decides what follows participants' answers.
RETRIES = RetryPolicy(initial_interval=timedelta(seconds=0.2), maximum_interval=timedelta(seconds=30))


@workflow.defn(name="saga")
class SagaWorkflow:
    """One saga, from its present state to its end. It writes the saga's row, which people see, by checkpoints.

    Its writes have an effect only under the fencing token of its lease. An operator's decision is written to the row
    first and raises the token; then it arrives here as a signal with the new lease. So no write can overwrite it before
    it has arrived.
    """

    @workflow.init
    def __init__(self, start: SagaStart) -> None:
        self._limits = start.limits
        self._definition = VERSIONS[start.lease["version"]]
        self._state = state_from_json(start.lease["state"])
        self._signals = 0
        self._told: SagaStatus | None = None
        self._lease: LeaseDocument = {}
        self._take(start.lease)

    @workflow.run
    async def run(self, start: SagaStart) -> str:  # noqa: ARG002  (`__init__` reads it)
        """Run the saga until its end is written; return its status."""
        while True:
            signals = self._signals
            command = next_command(self._definition, self._state)
            if command is None:
                self._tell()
                written = await self._write(CheckpointKind.END, None, self._note(self._state.status))
                if written and signals == self._signals:
                    return self._state.status
            else:
                await self._attempt(command)
            if workflow.info().get_current_history_length() >= self._limits.history_events:
                workflow.continue_as_new(SagaStart(self._document(), self._limits))

    @workflow.signal
    def compensate(self, lease: LeaseDocument) -> None:
        """Called when an operator has turned the saga back, as its row says."""
        if self._is_new(lease):
            self._state = turn_back(self._definition, self._state, state_from_json(lease["state"]).error or "")
            self._take(lease)

    @workflow.signal
    def retry(self, lease: LeaseDocument) -> None:
        """Called when an operator wants the saga retried now."""
        if self._is_new(lease):
            self._state = reset_retries(self._state)
            self._take(lease)

    def _is_new(self, lease: LeaseDocument) -> bool:
        """Return False for a late signal of an earlier handover."""
        return bool(lease["fencing_token"] >= self._lease["fencing_token"])

    def _take(self, lease: LeaseDocument) -> None:
        """Continue under this lease, with the entries that are not written yet."""
        unwritten = {name: self._lease.get(name, lease[name]) for name in ("entries", "first_effect_at")}
        self._lease = {**lease, **unwritten}
        self._deadline = workflow.now() + timedelta(seconds=lease["deadline_seconds"])
        self._signals += 1

    async def _attempt(self, command: Command) -> None:
        signals, before = self._signals, self._document()
        self._state = started(self._state, command)
        attempt = self._start(AttemptRequest(before, command.step, command.direction))
        await workflow.wait_condition(lambda: attempt.done() or signals != self._signals)
        if signals != self._signals:  # whatever was attempted is compensated, or requested again
            attempt.cancel()
            return
        result = await attempt
        self._lease |= {"entries": result.entries, "first_effect_at": result.first_effect_at}
        if result.lost:
            await self._pause(self._limits.lease, signals)
            return
        await self._after(command, self._outcome_of(result))

    def _start(self, request: AttemptRequest) -> ActivityHandle[AttemptResult]:
        return workflow.start_activity(
            "attempt",
            request,
            result_type=AttemptResult,
            start_to_close_timeout=timedelta(seconds=self._limits.attempt),
            heartbeat_timeout=timedelta(seconds=self._limits.heartbeat),
            retry_policy=RETRIES,
            cancellation_type=ActivityCancellationType.ABANDON,
        )

    def _outcome_of(self, result: AttemptResult) -> Outcome:
        if result.outcome == "succeeded":
            return Succeeded()
        if result.outcome == "refused":
            return Refused(result.error, result.contradicts)
        return Unknown(result.error, deadline_passed=self._left() <= 0)

    async def _after(self, command: Command, outcome: Outcome) -> None:
        """Decide what follows an attempt, as `runner.py` does."""
        signals, before = self._signals, self._state
        self._state = apply(self._definition, before, command, outcome, self._limits.stuck_after)
        self._tell()
        notes = []
        if self._state.stuck and not before.stuck:
            notes.append(self._note("stuck", self._state.step(command.step).error))
        if self._state.backward and not before.backward:
            await self._write(
                CheckpointKind.DECISION, self._limits.lease, self._note("compensating", self._state.error)
            )
        elif not isinstance(outcome, Succeeded):
            seconds = self._back_off()
            if await self._write(CheckpointKind.RELINQUISH, seconds, *notes):
                await self._pause(seconds, signals)

    async def _write(self, kind: CheckpointKind, due_in: float | None, *notes: dict[str, Any]) -> bool:
        """Write the saga and its entries; return False if nothing was written, because its lease had ended."""
        signals = self._signals
        self._lease["revision"] += 1
        document = self._document()
        document["entries"] = [*document["entries"], *notes]
        written: bool = await workflow.execute_activity(
            "checkpoint",
            CheckpointRequest(document, kind, due_in),
            result_type=bool,
            schedule_to_start_timeout=None,
            start_to_close_timeout=timedelta(seconds=self._limits.attempt),
            heartbeat_timeout=timedelta(seconds=self._limits.heartbeat),
            retry_policy=RETRIES,
        )
        if written:
            self._lease["entries"] = []
        else:
            await self._pause(self._limits.lease, signals)
        return written

    async def _pause(self, seconds: float, signals: int) -> None:
        """Wait so many seconds, or until a signal arrives after the first `signals` ones."""
        try:
            await workflow.wait_condition(lambda: signals != self._signals, timeout=seconds)
        except TimeoutError:
            return

    def _back_off(self) -> float:
        limits, left = self._limits, None if self._state.backward else self._left()
        return back_off(limits.retry_first, limits.retry_most, self._state.unanswered, left, workflow.random().uniform)

    def _left(self) -> float:
        """Return the seconds until the forward deadline; negative after it."""
        return (self._deadline - workflow.now()).total_seconds()

    def _note(self, kind: str, detail: str | None = None) -> dict[str, Any]:
        """Make a timeline entry about the saga as a whole."""
        now = workflow.now().isoformat()
        own = {"id": str(workflow.uuid4()), "started_at": now, "finished_at": now, "executor": self._lease["owner"]}
        return timeline_entry(self._lease["saga_id"], kind, detail=detail, **own)

    def _document(self) -> LeaseDocument:
        return {**self._lease, "state": state_to_json(self._state), "deadline_seconds": self._left()}

    def _tell(self) -> None:
        """Set the search attribute by which Temporal finds the saga by its status."""
        status = self._state.status
        if status != self._told and (self._told or status in TOLD):
            workflow.upsert_search_attributes([STATUS.value_set(status)])
            self._told = status
