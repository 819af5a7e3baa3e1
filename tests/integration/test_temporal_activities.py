"""Temporal's activities on a real PostgreSQL, where the row of a saga may not have got its lease yet."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from temporalio.testing import ActivityEnvironment

from saga_orchestrator import service
from saga_orchestrator.config import Settings
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS
from saga_orchestrator.runtime.engine import begin
from saga_orchestrator.runtime.leases import Acceptance, Lease
from saga_orchestrator.temporal.activities import ActivityFailed, SagaActivities
from saga_orchestrator.temporal.handover import ENGINE, OWNER, hand_over
from saga_orchestrator.temporal.payloads import AttemptRequest, CheckpointRequest, lease_to_document
from tests.integration.orchestrated import OrchestratorStore, new_checkout

LONG = 60.0


class Sagas(OrchestratorStore):
    """The orchestrator's store on the test's own database, and the activities of a worker."""

    def __init__(self, client: FlaskClient, silent_url: str) -> None:
        super().__init__(client.application)
        told: dict[str, Any] = {"SAGA_ORCHESTRATOR_DATABASE_URL": "postgresql://nowhere"}
        limits: dict[str, Any] = {"progress_seconds": 0.05, "call_seconds": 2.0, "tries_per_attempt": 1}
        self._settings = Settings(_env_file=None, inventario_service_url=silent_url, **limits, **told)

    def accept(self) -> Lease:
        """Accept a saga; return the lease under which it will be handed over."""
        checkout = new_checkout()
        with self.transaction() as connection:
            assert service.accept_sagas(connection, [checkout], LONG, Acceptance(ENGINE)) == [True]
        return Lease(CHECKOUT, checkout, begin(CHECKOUT), 1, OWNER, LONG)

    def hand_over(self) -> None:
        with self.transaction() as connection:
            handed = hand_over(connection, VERSIONS, lambda due: [each.saga.saga_id for each in due], 10, LONG)
        assert handed.confirmed == 1

    def compensate(self, lease: Lease) -> None:
        with self.transaction() as connection:
            service.compensate_saga(connection, lease.saga.saga_id, "why", "me", ENGINE)

    def checkpoint(self, lease: Lease) -> bool:
        """Write the saga's end, as a workflow would; return whether that counted."""
        state = replace(lease.state, ended=True)
        return bool(self._run("checkpoint", CheckpointRequest(_document(lease, state), "end", None)))

    def attempt(self, lease: Lease) -> Any:
        """Attempt a command that is not answered, so that the saga's progress is written meanwhile."""
        return self._run("attempt", AttemptRequest(_document(lease, lease.state), "reserve_inventory", "action"))

    def _run(self, name: str, request: Any) -> Any:
        async def run() -> Any:
            async with self._worker() as activities:
                return await ActivityEnvironment().run(getattr(activities, name), request)

        return asyncio.run(run())

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[SagaActivities]:
        activities = SagaActivities(self.transaction, VERSIONS, self._settings, lambda: None)
        activities.start()
        try:
            yield activities
        finally:
            activities.stop()
            await asyncio.to_thread(activities.close)


def _document(lease: Lease, state: Any) -> dict[str, Any]:
    return lease_to_document(replace(lease, state=state))


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A participant that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def sagas(service_client: Callable[..., FlaskClient], fresh_database_url: str, silent_url: str) -> Sagas:
    return Sagas(service_client("saga_orchestrator", database_url=fresh_database_url), silent_url)


ACTIVITIES = pytest.mark.parametrize("activity", [Sagas.checkpoint, Sagas.attempt], ids=["checkpoint", "attempt"])


@ACTIVITIES
def test_an_activity_that_comes_before_its_handover_is_repeated(
    sagas: Sagas, activity: Callable[[Sagas, Lease], Any]
) -> None:
    """Else its saga would wait for as long as one that an operator has taken away."""
    lease = sagas.accept()
    with pytest.raises(ActivityFailed, match="not committed yet"):
        activity(sagas, lease)


def test_it_counts_after_the_handover(sagas: Sagas) -> None:
    lease = sagas.accept()
    sagas.hand_over()
    assert sagas.attempt(lease).lost is False
    assert sagas.checkpoint(lease) is True


def test_it_does_not_count_after_an_operator_has_decided(sagas: Sagas) -> None:
    lease = sagas.accept()
    sagas.hand_over()
    sagas.compensate(lease)
    sagas.hand_over()
    assert sagas.attempt(lease).lost is True
    assert sagas.checkpoint(lease) is False
