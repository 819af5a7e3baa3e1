"""Runs sagas on Temporal, inside the orchestrator's worker process: hands due ones over, and runs workflows."""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion, WorkflowIDConflictPolicy
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from saga_orchestrator.config import Settings
from saga_orchestrator.runtime.checkpoints import Transaction
from saga_orchestrator.runtime.leases import FIRST_FENCING_TOKEN, Lease, due_channel
from saga_orchestrator.runtime.versions import Versions
from saga_orchestrator.temporal.activities import SagaActivities
from saga_orchestrator.temporal.handover import ENGINE, hand_over, start_silent
from saga_orchestrator.temporal.payloads import Limits, SagaStart, lease_to_document
from saga_orchestrator.temporal.workflow import SagaWorkflow
from shared.database.listen import Listener, ShutdownSignal
from shared.process import crash_points, heartbeat, worker

BATCH = 50  # sagas handed over in one transaction, which locks their rows for some ten milliseconds
RPC_SECONDS = 2.0  # shorter than a statement waits for a lock
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
DEPLOYMENT = "checkout-sagas"
OWN_MODULES = ("saga_orchestrator", "shared")  # loaded once for all workflows: they are deterministic there
# Log entries of the client's native code go to this project's log.
LOGGING = LoggingConfig(
    TelemetryFilter(core_level="WARN", other_level="ERROR"), LogForwardingConfig(logging.getLogger("temporalio.core"))
)
T = TypeVar("T")
log = structlog.get_logger()


class TemporalEngine:
    """The Temporal worker of one process. While Temporal is unavailable, sagas are accepted, and remain due."""

    def __init__(
        self, transaction: Transaction, versions: Versions[Any], settings: Settings, stop: ShutdownSignal
    ) -> None:
        """`stop` is requested from outside: hand over nothing more, and end the running activities."""
        self._transaction = transaction
        self._versions = versions
        self._settings = settings
        self._stop = stop
        self._listener = Listener(settings.database_url, due_channel(ENGINE))
        self._loop = asyncio.new_event_loop()
        self._runtime = Runtime(telemetry=TelemetryConfig(logging=LOGGING))
        self._client: Client | None = None
        self._limits = limits_of(settings)
        self._look_at = 0.0
        self._due_in: float | None = None

    def run(self) -> None:
        """Work until `stop` is requested. Also ends on a defect, so that its supervisor starts another process."""
        thread = threading.Thread(target=self._loop.run_forever, name="temporal", daemon=True)
        thread.start()
        try:
            worker.run(self._stop, self._run_once, self._idle_seconds, self._listener, name="handover")
        finally:
            if self._client is not None:
                self._do(self._end())
            self._listener.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def _run_once(self) -> int:
        """Hand over due sagas; return how many Temporal confirmed."""
        try:
            if self._client is None:
                self._do(self._begin())
            self._look_after_silent()
            with self._transaction() as connection:
                handed = hand_over(connection, self._versions, self._start, BATCH, self._settings.lease_seconds)
                crash_points.reach("executor.before_write.claim")
            crash_points.reach("executor.after_write.claim")
        except (RPCError, RuntimeError, TimeoutError) as error:  # `TimeoutError` while it cannot connect
            self._unavailable(error)
            return 0
        if handed.confirmed == handed.due:
            heartbeat.cannot("")
        return handed.confirmed

    def _look_after_silent(self) -> None:
        """Once in a lease, start the workflows of silent sagas; this changes nothing for those that are only slow."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._settings.lease_seconds
        start = partial(self._start, signals=False)
        with self._transaction() as connection:
            start_silent(connection, self._versions, start, BATCH, self._settings.lease_seconds)

    def _unavailable(self, error: BaseException) -> None:
        reason = (str(error).splitlines() or [""])[0]
        log.warning("Temporal unavailable", error=reason)
        heartbeat.cannot(f"Temporal: {reason}")
        self._due_in = RECONNECT_SECONDS

    def _idle_seconds(self) -> float:
        due_in, self._due_in = self._due_in, None
        return max(0.0, self._look_at - time.monotonic()) if due_in is None else due_in

    def _start(self, leases: Sequence[Lease], *, signals: bool = True) -> list[UUID]:
        """Start the workflows of these sagas, or signal them; return the ids that Temporal confirmed."""
        confirmed = []
        for lease, result in zip(leases, self._do(self._start_all(leases, signals=signals)), strict=True):
            if result is None:
                confirmed.append(lease.saga.saga_id)
            elif isinstance(result, RPCError):
                self._unavailable(result)
            else:
                raise result
        return confirmed

    async def _start_all(self, leases: Sequence[Lease], *, signals: bool) -> list[BaseException | None]:
        starts = (
            self._start_one(lease, signals=signals and lease.fencing_token > FIRST_FENCING_TOKEN) for lease in leases
        )
        return await asyncio.gather(*starts, return_exceptions=True)

    async def _start_one(self, lease: Lease, *, signals: bool) -> None:
        """Start the saga's workflow if there is none. With `signals`, also signal what the saga's row says now."""
        document, signal = lease_to_document(lease), "compensate" if lease.state.backward else "retry"
        await self._connected().start_workflow(
            SagaWorkflow.run,
            SagaStart(document, self._limits),
            id=str(lease.saga.saga_id),
            task_queue=self._settings.temporal_task_queue,
            task_timeout=timedelta(seconds=self._limits.heartbeat),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=signal if signals else None,
            start_signal_args=[document] if signals else [],
            rpc_timeout=timedelta(seconds=RPC_SECONDS),
        )

    def _connected(self) -> Client:
        if self._client is None:
            raise RuntimeError("not connected")
        return self._client

    async def _begin(self) -> None:
        """Connect, and start running workflows and activities; raises `RuntimeError` when Temporal does not answer."""
        settings = self._settings
        connecting = Client.connect(
            settings.temporal_address, namespace=settings.temporal_namespace, runtime=self._runtime
        )
        client = await asyncio.wait_for(connecting, CONNECT_SECONDS)
        self._activities = SagaActivities(self._transaction, self._versions, settings, self._stop.request)
        self._activities.start()
        self._worker = Worker(
            client,
            task_queue=settings.temporal_task_queue,
            workflows=[SagaWorkflow],
            activities=[self._activities.attempt, self._activities.checkpoint],
            max_concurrent_activities=settings.executor_sagas,
            max_concurrent_workflow_tasks=settings.executor_sagas,
            max_cached_workflows=5 * settings.executor_sagas,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=settings.temporal_heartbeat_seconds),
            graceful_shutdown_timeout=timedelta(seconds=settings.call_seconds + 1),  # for requests that are being sent
            deployment_config=deployment_of(settings.temporal_build_id),
            workflow_runner=workflow_runner(),
        )
        self._running = asyncio.create_task(self._worker.run())
        self._running.add_done_callback(lambda _: self._stop.request())  # it ends when requested, or by a defect
        self._client = client

    async def _end(self) -> None:
        """End the worker; raise the error by which it ended, if any."""
        self._activities.stop()
        await self._worker.shutdown()
        await asyncio.to_thread(self._activities.close)
        await self._running

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine in the event loop, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def workflow_runner() -> SandboxedWorkflowRunner:
    """Make the sandbox that isolates workflows; this project's modules are loaded once for all of them."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*OWN_MODULES))


def limits_of(settings: Settings) -> Limits:
    """Return the settings that a saga keeps while it runs."""
    attempt = settings.tries_per_attempt * (settings.call_seconds + 1)
    return Limits(
        settings.retry_first_seconds,
        settings.retry_most_seconds,
        settings.stuck_after_attempts,
        attempt + settings.lease_seconds,  # includes the wait for other attempts
        settings.temporal_heartbeat_seconds,
        settings.lease_seconds,
        settings.temporal_history_events,
    )


def deployment_of(build_id: str) -> WorkerDeploymentConfig | None:
    """With the name of a build, sagas continue in workers of the build in which they began."""
    if not build_id:
        return None
    return WorkerDeploymentConfig(WorkerDeploymentVersion(DEPLOYMENT, build_id), True, VersioningBehavior.PINNED)
