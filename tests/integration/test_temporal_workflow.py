"""The workflow of a saga on a real Temporal, with participants that answer as a test says."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker
from temporalio.workflow import NondeterminismError

from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.runtime.engine import begin, turn_back
from saga_orchestrator.runtime.leases import Lease
from saga_orchestrator.runtime.state import SagaState
from saga_orchestrator.runtime.versions import Versions
from saga_orchestrator.temporal import workflow
from saga_orchestrator.temporal.handover import OWNER
from saga_orchestrator.temporal.payloads import (
    AttemptRequest,
    AttemptResult,
    CheckpointRequest,
    LeaseDocument,
    Limits,
    SagaStart,
    lease_to_document,
)
from saga_orchestrator.temporal.worker import DEPLOYMENT, deployment_of, workflow_runner
from saga_orchestrator.temporal.workflow import SagaWorkflow
from tests.integration.orchestrated import new_checkout
from tests.system.temporal import address_of_run

LIMITS = Limits(0.01, 0.02, 10, 30.0, 5.0, 30.0, 2000)
HANGING_SECONDS = 60
PAY = ("process_payment", "action")


async def succeeds(_: AttemptRequest) -> str:
    return "succeeded"


class HeldPayment:
    """Answers each command at once, but the payment only when it is `over`."""

    def __init__(self) -> None:
        self.requested, self.over = asyncio.Event(), asyncio.Event()

    async def answer(self, request: AttemptRequest) -> str:
        if (request.step, request.direction) == PAY:
            self.requested.set()
            await self.over.wait()
        return "succeeded"


@dataclass
class Room:
    """Stands for the participants and the table of sagas: answers commands, and records writes."""

    answer: Callable[[AttemptRequest], Awaitable[str]] = succeeds
    accepts: Callable[[CheckpointRequest], bool] = lambda _: True
    commands: list[tuple[str, str]] = field(default_factory=list)
    written: list[CheckpointRequest] = field(default_factory=list)

    @activity.defn
    async def attempt(self, request: AttemptRequest) -> AttemptResult:
        self.commands.append((request.step, request.direction))
        outcome = await self.answer(request)
        return AttemptResult(
            outcome, "" if outcome == "succeeded" else "no", False, False, request.lease["entries"], None
        )

    @activity.defn
    async def checkpoint(self, request: CheckpointRequest) -> bool:
        self.written.append(request)
        return self.accepts(request)


@dataclass
class Sagas:
    """The sagas of one test, on a task queue of their own."""

    client: Client
    queue: str = field(default_factory=lambda: f"test-{uuid4().hex}")

    @asynccontextmanager
    async def worker(self, room: Room, build: str = "") -> AsyncIterator[None]:
        async with Worker(
            self.client,
            task_queue=self.queue,
            workflows=[SagaWorkflow],
            activities=[room.attempt, room.checkpoint],
            workflow_runner=workflow_runner(),
            deployment_config=deployment_of(build),
        ):
            yield

    async def begin(self, document: LeaseDocument, limits: Limits = LIMITS) -> WorkflowHandle[SagaWorkflow, str]:
        return await self.client.start_workflow(
            SagaWorkflow.run, SagaStart(document, limits), id=document["saga_id"], task_queue=self.queue
        )


def lease(state: SagaState | None = None, token: int = 1) -> Lease:
    return Lease(CHECKOUT, new_checkout(), state or begin(CHECKOUT), token, OWNER, 60.0)


def later(first: Lease, state: SagaState, token: int) -> LeaseDocument:
    """Return the saga's lease after another handover."""
    return lease_to_document(replace(first, state=state, fencing_token=token))


def on_temporal(test: Callable[[Sagas], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(test(Sagas(await Client.connect(address_of_run()))), HANGING_SECONDS)

    asyncio.run(run())


def steps_of(document: LeaseDocument) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in document["state"]["steps"]}


def test_a_saga_is_continued_in_a_new_run_before_its_history_grows_and_forgets_nothing() -> None:
    tries = 40

    async def test(sagas: Sagas) -> None:
        count: dict[tuple[str, str], int] = defaultdict(int)

        async def answer(request: AttemptRequest) -> str:
            command = (request.step, request.direction)
            count[command] += 1
            return "unknown" if command == PAY and count[command] < tries else "succeeded"

        room = Room(answer)
        async with sagas.worker(room):
            handle = await sagas.begin(lease_to_document(lease()), replace(LIMITS, history_events=60))
            assert await handle.result() == "completed"
        assert steps_of(room.written[-1].lease)["process_payment"]["attempts"] == tries
        lengths = [
            each.history_length
            async for each in sagas.client.list_workflows(f"WorkflowId = '{handle.id}'")
            if each.status != WorkflowExecutionStatus.RUNNING
        ]
        assert len(lengths) > 3
        assert max(length or 0 for length in lengths) < 100

    on_temporal(test)


def test_a_signal_turns_back_a_saga_whose_command_is_on_its_way_and_one_that_comes_late_does_nothing() -> None:
    async def test(sagas: Sagas) -> None:
        payment = HeldPayment()
        room, first = Room(payment.answer), lease()
        async with sagas.worker(room):
            handle = await sagas.begin(lease_to_document(first))
            await payment.requested.wait()
            turned = turn_back(CHECKOUT, first.state, "because")
            await handle.signal(SagaWorkflow.compensate, later(first, turned, 3))
            await handle.signal(SagaWorkflow.retry, later(first, first.state, 2))
            assert await handle.result() == "compensated"
            payment.over.set()
        assert room.commands[2:] == [
            ("create_order", "compensation"),
            ("process_payment", "compensation"),
            ("reserve_inventory", "compensation"),
            ("release_cart", "action"),
        ]
        assert {request.lease["fencing_token"] for request in room.written} == {3}

    on_temporal(test)


def test_an_end_that_is_not_written_because_an_operator_was_first_is_no_end() -> None:
    """The row says that the saga turned back; the signal arrives later."""

    async def test(sagas: Sagas) -> None:
        refused = asyncio.Event()

        def accepts(request: CheckpointRequest) -> bool:
            if request.lease["fencing_token"] == 1:
                refused.set()
            return bool(request.lease["fencing_token"] > 1)

        room, first = Room(accepts=accepts), lease()
        async with sagas.worker(room):
            handle = await sagas.begin(lease_to_document(first))
            await refused.wait()
            await handle.signal(SagaWorkflow.compensate, later(first, turn_back(CHECKOUT, first.state, "why"), 3))
            assert await handle.result() == "compensated"
        assert ("commit_inventory", "compensation") in room.commands, "it knows that it has passed the pivot"
        kinds = [entry["kind"] for entry in room.written[-1].lease["entries"]]
        assert kinds == ["compensated"], "of the end that did not count nothing is told"

    on_temporal(test)


def test_a_saga_ends_in_the_build_that_it_began_in_while_a_new_one_runs() -> None:
    async def test(sagas: Sagas) -> None:
        payment = HeldPayment()
        old, new = Room(payment.answer), Room()
        builds = [f"{number}-{sagas.queue}" for number in (1, 2)]
        async with sagas.worker(old, builds[0]), sagas.worker(new, builds[1]):
            await make_current(sagas.client, builds[0])
            before = await sagas.begin(lease_to_document(lease()))
            await payment.requested.wait()
            await make_current(sagas.client, builds[1])
            after = await sagas.begin(lease_to_document(lease()))
            assert await after.result() == "completed"
            payment.over.set()
            assert await before.result() == "completed"
        assert {request.lease["saga_id"] for request in old.written} == {before.id}
        assert {request.lease["saga_id"] for request in new.written} == {after.id}

    on_temporal(test)


async def make_current(client: Client, build: str) -> None:
    """Make a build current for new sagas, after its worker has been seen."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build, ignore_missing_task_queues=True
    )
    while True:
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError:
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("declined", [False, True])
def test_a_history_is_replayed_by_the_definition_that_it_was_made_by_and_by_no_other(
    declined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(sagas: Sagas) -> None:
        async def answer(request: AttemptRequest) -> str:
            return "refused" if declined and (request.step, request.direction) == PAY else "succeeded"

        async with sagas.worker(Room(answer)):
            handle = await sagas.begin(lease_to_document(lease()))
            assert await handle.result() == ("compensated" if declined else "completed")
        history = await handle.fetch_history()
        replayer = Replayer(workflows=[SagaWorkflow], workflow_runner=workflow_runner())
        assert (await replayer.replay_workflow(history)).replay_failure is None
        fewer = replace(CHECKOUT, compensatable=CHECKOUT.compensatable[1:])
        monkeypatch.setattr(workflow, "VERSIONS", Versions(fewer))
        with pytest.raises(NondeterminismError):
            await Replayer(workflows=[SagaWorkflow], workflow_runner=workflow_runner()).replay_workflow(history)

    on_temporal(test)
