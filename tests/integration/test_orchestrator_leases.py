"""Leases on a real PostgreSQL: which executor has a saga, and whose writes count."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, select, text
from sqlalchemy.pool import NullPool

from saga_orchestrator import service
from saga_orchestrator.models import sagas as sagas_table
from saga_orchestrator.orchestrator import CHECKOUT, VERSIONS, CheckoutSaga
from saga_orchestrator.runtime import leases, store
from saga_orchestrator.runtime.active_saga import KEPT_ATTEMPTS, ActiveSaga
from saga_orchestrator.runtime.engine import apply, begin, next_command, started
from saga_orchestrator.runtime.leases import Claimant, Lease
from saga_orchestrator.runtime.participants import CommandReply
from saga_orchestrator.runtime.serialization import timeline_entry
from saga_orchestrator.runtime.state import Command, Outcome, SagaState, Succeeded, Unknown
from saga_orchestrator.runtime.store import Checkpoint, CheckpointKind
from shared.saga.states import Direction, SagaStatus
from shared.testing import concurrently, wait_until
from tests.integration.orchestrated import OrchestratorStore, new_checkout

LONG, PAST = 60.0, -1.0


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Open a cursor on a connection of its own."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        yield connection.connection.cursor()


class Sagas(OrchestratorStore):
    """The orchestrator's store, on the test's own database."""

    def accept(self, forward_seconds: float = LONG) -> CheckoutSaga:
        checkout = new_checkout()
        with self.transaction() as connection:
            assert service.accept_sagas(connection, [checkout], forward_seconds) == [True]
        return checkout

    def claim(self, owner: str, limit: int = 10, seconds: float = LONG, executor_id: int = 1) -> list[Lease]:
        with self.transaction() as connection:
            return leases.claim(connection, VERSIONS, Claimant(owner, executor_id), limit, seconds).leases

    def free_abandoned(self) -> int:
        with self.transaction() as connection:
            return leases.free_abandoned(connection)

    @contextmanager
    def executor(self, executor_id: int) -> Iterator[None]:
        """Announce an executor for the block; its connection ends with it."""
        with connected(self._app.config["SQLALCHEMY_DATABASE_URI"]) as cursor:
            assert leases.announce(cursor, executor_id)
            yield
        wait_until(lambda: self._is_gone(executor_id), "PostgreSQL has ended the connection")

    def _is_gone(self, executor_id: int) -> bool:
        query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = :key AND objid = :number")
        with self.transaction() as connection:
            return not connection.scalar(query, {"key": leases.EXECUTORS, "number": executor_id})

    def save(self, kind: CheckpointKind, *saved: Lease, due_in: float | None = LONG) -> set[UUID]:
        """Write checkpoints; return the sagas whose leases had ended."""
        with self.transaction() as connection:
            return store.save(connection, [Checkpoint(kind, lease, due_in) for lease in saved])

    def end(self, *ended: Lease) -> set[UUID]:
        return self.save(CheckpointKind.END, *ended, due_in=None)

    def row(self, saga_id: UUID) -> Any:
        with self.transaction() as connection:
            return connection.execute(select(sagas_table).where(sagas_table.c.saga_id == saga_id)).mappings().one()


@pytest.fixture
def sagas(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Sagas:
    return Sagas(service_client("saga_orchestrator", database_url=fresh_database_url).application)


def completed() -> SagaState:
    state = begin(CHECKOUT)
    while (command := next_command(CHECKOUT, state)) is not None:
        state = apply(CHECKOUT, started(state, command), command, Succeeded())
    return state


def test_executors_that_claim_at_once_never_share_a_saga(sagas: Sagas) -> None:
    accepted = {sagas.accept().saga_id for _ in range(40)}
    claims = concurrently(*[lambda name=name: sagas.claim(str(name), 10) for name in range(8)])
    taken = [lease.saga.saga_id for each in claims for lease in each]
    assert len(taken) == len(set(taken))
    taken += [lease.saga.saga_id for lease in sagas.claim("last", 100)]
    assert sorted(taken) == sorted(accepted)


def test_a_leased_saga_is_not_due_until_its_lease_is_over(sagas: Sagas) -> None:
    sagas.accept()
    assert len(sagas.claim("first")) == 1
    assert sagas.claim("second") == []


def test_a_saga_whose_lease_is_over_goes_on_elsewhere(sagas: Sagas) -> None:
    sagas.accept()
    (first,) = sagas.claim("first", seconds=PAST)
    (second,) = sagas.claim("second")
    assert (first.fencing_token, second.fencing_token) == (1, 2)


def test_a_write_with_an_old_fencing_token_changes_nothing(sagas: Sagas) -> None:
    checkout = sagas.accept()
    (old,) = sagas.claim("first", seconds=PAST)
    sagas.claim("second")
    old.state = completed()
    assert sagas.end(old) == {checkout.saga_id}
    for kind in (CheckpointKind.DECISION, CheckpointKind.RELINQUISH, CheckpointKind.PROGRESS):
        assert sagas.save(kind, old) == {checkout.saga_id}
    row = sagas.row(checkout.saga_id)
    assert (row["status"], row["fencing_token"], row["owner"]) == ("pending", 2, "second")


def test_the_same_fencing_token_of_another_owner_is_not_mine(sagas: Sagas) -> None:
    """A claim that a server crash lost may be given to another owner with the same number."""
    sagas.accept()
    (lease,) = sagas.claim("first")
    assert sagas.end(replace(lease, owner="another", state=completed())) == {lease.saga.saga_id}


def test_a_claim_that_the_server_forgot_is_not_mine_though_i_claim_it_again(sagas: Sagas) -> None:
    checkout = sagas.accept()
    (forgotten,) = sagas.claim("first claim")
    with sagas.transaction() as connection:  # as a crash of the server leaves it
        connection.execute(text("UPDATE sagas SET fencing_token = 0, owner = NULL, due_at = now()"))
    (again,) = sagas.claim("second claim")
    assert forgotten.fencing_token == again.fencing_token
    forgotten.state = again.state = completed()
    assert sagas.end(forgotten) == {checkout.saga_id}
    assert sagas.end(again) == set()
    assert sagas.row(checkout.saga_id)["status"] == "completed"


def test_what_was_released_is_due_again(sagas: Sagas) -> None:
    sagas.accept()
    (lease,) = sagas.claim("first")
    sagas.save(CheckpointKind.RELINQUISH, lease, due_in=0)
    (again,) = sagas.claim("second")
    assert again.fencing_token == 2


def test_a_write_that_is_repeated_adds_no_second_entry(sagas: Sagas) -> None:
    checkout = sagas.accept()
    (lease,) = sagas.claim("first")
    lease.entries.append(timeline_entry(checkout.saga_id, "stuck"))
    for _ in range(2):
        assert sagas.save(CheckpointKind.DECISION, lease) == set()
    with sagas.transaction() as connection:
        assert [entry.kind for entry in service.history_of(connection, checkout.saga_id).entries] == [
            "accepted",
            "stuck",
        ]


def test_the_timeline_of_a_saga_that_waits_for_long_keeps_the_first_attempts_and_the_latest(sagas: Sagas) -> None:
    saga_id = sagas.accept().saga_id
    (lease,) = sagas.claim("first")
    saga, command = ActiveSaga(lease), Command("reserve_inventory", Direction.ACTION)

    def try_three_times(outcome: Outcome) -> None:
        saga.start(command)
        for _ in range(3):
            saga.record_request(command, datetime.now(UTC), CommandReply(outcome))
        saga.advance(apply(CHECKOUT, saga.state, command, outcome))

    for number in range(1, 101):
        try_three_times(Unknown(f"away for the {number}th time"))
        if number % 3 == 0:  # not before every attempt
            snapshot = saga.snapshot()
            for _ in range(2):  # repeated, as after a lost answer
                assert sagas.save(CheckpointKind.PROGRESS, snapshot) == set()
            saga.mark_written(snapshot)
    try_three_times(Succeeded())
    sagas.save(CheckpointKind.PROGRESS, saga.snapshot())
    with sagas.transaction() as connection:
        entries = [entry for entry in service.history_of(connection, saga_id).entries if entry.kind == "attempt"]
    kept = [number for number in range(1, KEPT_ATTEMPTS + 1) for _ in range(3)]
    assert [entry.attempt for entry in entries] == [*kept, 100, 101, 101, 101]
    assert entries[len(kept)].detail == "away for the 100th time"


def test_a_saga_turned_back_by_an_operator_ends_the_lease_on_it(sagas: Sagas) -> None:
    checkout = sagas.accept()
    (lease,) = sagas.claim("first")
    with sagas.transaction() as connection:
        service.compensate_saga(connection, checkout.saga_id, "stop", "ops")
    lease.state = completed()
    assert sagas.end(lease) == {checkout.saga_id}
    (back,) = sagas.claim("second")
    assert back.state.status is SagaStatus.COMPENSATING


def test_an_operator_and_an_executor_at_the_same_moment_agree(sagas: Sagas) -> None:
    """Either the saga ends and is compensated afterwards, or the executor loses it; never both."""
    for _ in range(30):
        checkout = sagas.accept()
        (lease,) = sagas.claim("first")
        lease.state = completed()

        def end(lease: Lease = lease) -> bool:
            return sagas.end(lease) == set()

        def turn_back(checkout: CheckoutSaga = checkout) -> bool:
            with sagas.transaction() as connection:
                service.compensate_saga(connection, checkout.saga_id, "stop", "ops")
            return True

        ended, _ = concurrently(end, turn_back)
        (back,) = sagas.claim("second")
        assert back.state.backward
        succeeded = [back.state.step(step.name).status == "succeeded" for step in CHECKOUT.shown_steps]
        assert succeeded == [ended] * 4
        back.state = replace(back.state, ended=True)
        sagas.end(back)


def test_the_database_itself_refuses_to_forget_a_saga(sagas: Sagas) -> None:
    checkout = sagas.accept()
    with pytest.raises(Exception, match="never_forgotten"), sagas.transaction() as connection:
        connection.execute(text("UPDATE sagas SET due_at = NULL WHERE saga_id = :id"), {"id": checkout.saga_id})


def test_the_next_due_time_is_the_lease_or_the_back_off(sagas: Sagas) -> None:
    def seconds() -> float | None:
        with sagas.transaction() as connection:
            claimed = leases.claim(connection, VERSIONS, Claimant("another", 2), 10, LONG)
        assert claimed.leases == []
        return claimed.next_in

    assert seconds() is None
    sagas.accept()
    (lease,) = sagas.claim("first", seconds=50)
    assert 40 < (seconds() or 0) <= 50
    sagas.save(CheckpointKind.RELINQUISH, lease, due_in=20)
    assert 10 < (seconds() or 0) <= 20
    with sagas.transaction() as connection:
        connection.execute(text("UPDATE sagas SET due_at = now()"))
    (lease,) = sagas.claim("first")
    lease.state = completed()
    sagas.end(lease)
    assert seconds() is None


def test_what_was_taken_is_due_again_when_its_lease_is_over(sagas: Sagas) -> None:
    """Also for its own executor, which may have left it to its lease."""
    sagas.accept()
    with sagas.transaction() as connection:
        claimed = leases.claim(connection, VERSIONS, Claimant("first", 1), 10, 50)
    assert len(claimed.leases) == 1
    assert claimed.next_in == 50


def test_what_is_due_and_was_not_taken_is_due_at_once(sagas: Sagas) -> None:
    """Beyond the limit, or locked by another claim."""
    for _ in range(2):
        sagas.accept()
    with sagas.transaction() as connection:
        first = leases.claim(connection, VERSIONS, Claimant("first", 1), 1, LONG)
        with sagas.transaction() as another:
            rest = leases.claim(another, VERSIONS, Claimant("second", 2), 10, LONG)
    assert [len(first.leases), first.next_in] == [1, 0]
    assert [len(rest.leases), rest.next_in] == [1, 0]


def test_the_deadline_is_told_by_the_databases_clock(sagas: Sagas) -> None:
    sagas.accept(forward_seconds=30)
    (lease,) = sagas.claim("first")
    assert 20 < lease.deadline_seconds <= 30


def test_who_takes_a_saga_over_has_only_the_time_that_is_left(sagas: Sagas) -> None:
    sagas.accept(forward_seconds=30)
    with sagas.transaction() as connection:  # as it is 25 seconds later
        connection.execute(
            text("UPDATE sagas SET created_at = created_at - interval '25 s', deadline_at = now() + interval '5 s'")
        )
    (lease,) = sagas.claim("first")
    assert 0 < lease.deadline_seconds <= 5


def test_what_an_executor_that_is_gone_had_leased_is_due_at_once(sagas: Sagas) -> None:
    sagas.accept()
    with sagas.executor(1):
        (first,) = sagas.claim("first", executor_id=1)
        assert sagas.free_abandoned() == 0
        assert sagas.claim("second", executor_id=2) == []
    assert sagas.free_abandoned() == 1
    (second,) = sagas.claim("second", executor_id=2)
    assert (first.fencing_token, second.fencing_token) == (1, 2)


def test_who_is_taken_for_gone_and_is_not_keeps_what_nobody_has_claimed(sagas: Sagas) -> None:
    """The lock only decides whose sagas others may claim; the fencing token alone decides who may write."""
    sagas.accept()
    (lease,) = sagas.claim("first")
    assert sagas.free_abandoned() == 1
    assert sagas.save(CheckpointKind.PROGRESS, lease) == set()
    assert sagas.claim("second", executor_id=2) == []
    lease.state = completed()
    assert sagas.end(lease) == set()


def test_a_saga_that_waits_for_its_next_attempt_is_nobodys_and_goes_on_waiting(sagas: Sagas) -> None:
    sagas.accept()
    (lease,) = sagas.claim("first")
    sagas.save(CheckpointKind.RELINQUISH, lease, due_in=LONG)
    assert sagas.free_abandoned() == 0
    assert sagas.claim("second", executor_id=2) == []


def test_an_executor_knows_whether_others_have_leases(sagas: Sagas) -> None:
    def others(executor_id: int) -> bool:
        with sagas.transaction() as connection:
            return leases.claim(connection, VERSIONS, Claimant("another", executor_id), 10, LONG).others

    assert [others(1), others(2)] == [False, False]
    sagas.accept()
    (lease,) = sagas.claim("first", executor_id=1)
    assert [others(1), others(2)] == [False, True]
    lease.state = completed()
    sagas.end(lease)
    assert [others(1), others(2)] == [False, False]


def test_an_executor_of_another_database_is_none_of_ours(sagas: Sagas, empty_database_url: str) -> None:
    with connected(empty_database_url) as elsewhere:
        assert leases.announce(elsewhere, 1)
        sagas.accept()
        assert len(sagas.claim("first", executor_id=1)) == 1
        assert sagas.free_abandoned() == 1


def test_two_executors_never_have_the_same_number(sagas: Sagas, fresh_database_url: str) -> None:
    with sagas.executor(1), connected(fresh_database_url) as cursor:
        assert not leases.announce(cursor, 1)
        assert leases.announce(cursor, 2)
