"""Handing sagas over to Temporal, on a real PostgreSQL: which are due, and whose writes count."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from saga_orchestrator import service
from saga_orchestrator.models import sagas as sagas_table
from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime import leases, store
from saga_orchestrator.runtime.leases import BUILTIN, Acceptance, Claimant, Lease
from saga_orchestrator.runtime.store import Checkpoint, CheckpointKind
from saga_orchestrator.temporal.handover import ENGINE, hand_over, start_silent
from tests.integration.orchestrated import OrchestratorStore, new_checkout

LONG = 60.0


class Sagas(OrchestratorStore):
    """The orchestrator's store on the test's own database, and the leases that Temporal confirmed."""

    def __init__(self, client: FlaskClient) -> None:
        super().__init__(client.application)
        self.started: list[Lease] = []

    def accept(self, engine: str = ENGINE) -> UUID:
        checkout = new_checkout()
        with self.transaction() as connection:
            assert service.accept_sagas(connection, [checkout], LONG, Acceptance(engine)) == [True]
        return checkout.saga_id

    def hand_over(self, confirmed: Callable[[Lease], bool] = lambda _: True, seconds: float = LONG) -> list[UUID]:
        """Hand due sagas over; return those that Temporal confirmed, whose leases are recorded."""
        told: list[Lease] = []

        def start(due: Sequence[Lease]) -> list[UUID]:
            told.extend(due)
            self.started += filter(confirmed, due)
            return [lease.saga.saga_id for lease in due if confirmed(lease)]

        with self.transaction() as connection:
            hand_over(connection, VERSIONS, start, 10, seconds)
        return [lease.saga.saga_id for lease in told]

    def start_silent(self, seconds: float) -> list[Lease]:
        """Start silent sagas; return their leases."""
        told: list[Lease] = []

        def start(silent: Sequence[Lease]) -> list[UUID]:
            told.extend(silent)
            return [lease.saga.saga_id for lease in silent]

        with self.transaction() as connection:
            start_silent(connection, VERSIONS, start, 10, seconds)
        return told

    def claim(self) -> list[UUID]:
        """Return the sagas that an executor of the built-in engine claims."""
        with self.transaction() as connection:
            claimed = leases.claim(connection, VERSIONS, Claimant("executor", 1), 10, LONG)
        return [lease.saga.saga_id for lease in claimed.leases]

    def save(self, lease: Lease, revision: int, kind: CheckpointKind, due_in: float | None = LONG) -> bool:
        """Return whether the write counted."""
        with self.transaction() as connection:
            return not store.save(connection, [Checkpoint(kind, replace(lease, revision=revision), due_in)])

    def compensate(self, saga_id: UUID, engine: str = ENGINE) -> None:
        with self.transaction() as connection:
            service.compensate_saga(connection, saga_id, "why", "me", engine)

    def row(self, saga_id: UUID) -> Any:
        with self.transaction() as connection:
            return connection.execute(select(sagas_table).where(sagas_table.c.saga_id == saga_id)).mappings().one()


@pytest.fixture
def sagas(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Sagas:
    return Sagas(service_client("saga_orchestrator", database_url=fresh_database_url))


def test_each_engine_takes_its_own_sagas(sagas: Sagas) -> None:
    ours, theirs = sagas.accept(), sagas.accept(BUILTIN)
    assert sagas.claim() == [theirs]
    assert sagas.hand_over() == [ours]
    theirs, ours = sagas.accept(BUILTIN), sagas.accept()
    assert sagas.hand_over() == [ours]
    assert sagas.claim() == [theirs]


def test_a_saga_is_handed_over_once_it_is_confirmed_and_until_then_again(sagas: Sagas) -> None:
    saga_id = sagas.accept()
    assert sagas.hand_over(confirmed=lambda _: False) == [saga_id]
    assert sagas.row(saga_id)["fencing_token"] == 0, "its lease does not count"
    assert sagas.hand_over() == [saga_id]
    assert sagas.hand_over() == []
    assert [lease.fencing_token for lease in sagas.started] == [1]


def test_a_saga_that_is_silent_for_a_lease_longer_than_expected_is_started_again_under_its_present_lease(
    sagas: Sagas,
) -> None:
    """Its workflow may exist, and be slow: then its writes still count."""
    sagas.accept()
    sagas.hand_over(seconds=LONG)
    (lease,) = sagas.started
    assert sagas.save(lease, 4, CheckpointKind.RELINQUISH, due_in=-2.0)
    assert sagas.start_silent(LONG) == []
    (silent,) = sagas.start_silent(1.0)
    assert (silent.fencing_token, silent.revision) == (1, 4)
    assert sagas.start_silent(LONG) == [], "it was confirmed, and has time again"
    assert sagas.hand_over() == []
    assert sagas.save(lease, 5, CheckpointKind.RELINQUISH)


def test_what_a_workflow_writes_does_not_count_once_an_operator_has_decided(sagas: Sagas) -> None:
    saga_id = sagas.accept()
    sagas.hand_over()
    sagas.compensate(saga_id)
    (lease,) = sagas.started
    assert not sagas.save(lease, 1, CheckpointKind.RELINQUISH)
    assert sagas.hand_over() == [saga_id]
    assert sagas.started[-1].state.backward
    assert sagas.save(sagas.started[-1], 1, CheckpointKind.RELINQUISH)


def test_an_older_write_of_the_same_workflow_does_not_count_and_a_repeated_one_does(sagas: Sagas) -> None:
    """As from a worker that was frozen during the write, while another one repeated it and went on."""
    saga_id = sagas.accept()
    sagas.hand_over()
    (lease,) = sagas.started
    assert sagas.save(lease, 0, CheckpointKind.PROGRESS)
    for revision, counts in ((2, True), (2, True), (1, False), (0, False), (3, True)):
        assert sagas.save(lease, revision, CheckpointKind.RELINQUISH) is counts
    assert sagas.row(saga_id)["revision"] == 3


@pytest.mark.parametrize(("first", "second"), [(BUILTIN, ENGINE), (ENGINE, BUILTIN)])
def test_a_saga_under_way_is_turned_back_on_its_engine_and_an_ended_one_on_the_present(
    sagas: Sagas, first: str, second: str
) -> None:
    under_way, ended = sagas.accept(first), sagas.accept(first)
    with sagas.transaction() as connection:
        ends = sagas_table.update().where(sagas_table.c.saga_id == ended)
        connection.execute(ends.values(status="completed", due_at=None, ended_at=sagas_table.c.created_at))
    for saga_id in (under_way, ended):
        sagas.compensate(saga_id, second)
    assert (sagas.row(under_way)["engine"], sagas.row(ended)["engine"]) == (first, second)
