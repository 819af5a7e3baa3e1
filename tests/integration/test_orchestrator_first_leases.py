"""Sagas that are accepted under a lease, on a real PostgreSQL."""

from datetime import timedelta

import pytest

from saga_orchestrator import service
from saga_orchestrator.orchestrator import CHECKOUT, CheckoutSaga
from saga_orchestrator.runtime import leases
from saga_orchestrator.runtime.engine import begin
from saga_orchestrator.runtime.leases import FIRST_FENCING_TOKEN, Acceptance, Claimant, Lease
from saga_orchestrator.runtime.store import CheckpointKind
from shared.database.listen import Listener, notify
from tests.integration.orchestrated import new_checkout
from tests.integration.test_orchestrator_leases import LONG, PAST, Sagas, completed, sagas

__all__ = ["sagas"]
OURS, OTHERS = 7, 8


def first_lease(
    owner: str = "web-1", executor_id: int = OURS, seconds: float = LONG, notifies: bool = False
) -> Acceptance:
    return Acceptance(claimant=Claimant(owner, executor_id), lease_seconds=seconds, notifies=notifies)


def accept(sagas: Sagas, lease: Acceptance, *checkouts: CheckoutSaga) -> list[Lease]:
    """Accept sagas; return the leases of the new ones, as the accepting process has them."""
    with sagas.transaction() as connection:
        results = service.accept_sagas(connection, checkouts, LONG, lease)
    new = [saga for saga, result in zip(checkouts, results, strict=True) if result is True]
    return [Lease(CHECKOUT, saga, begin(CHECKOUT), FIRST_FENCING_TOKEN, "web-1", LONG) for saga in new]


def test_nobody_claims_what_is_accepted_under_a_lease_and_its_writes_count(sagas: Sagas) -> None:
    (lease,) = accept(sagas, first_lease(), new_checkout())
    assert sagas.claim("another", executor_id=OTHERS) == []
    lease.state = completed()
    assert sagas.end(lease) == set()
    assert sagas.row(lease.saga.saga_id)["status"] == "completed"


def test_it_is_stored_as_if_it_had_been_claimed(sagas: Sagas) -> None:
    claimed_one = sagas.accept()
    sagas.claim("web-1", executor_id=OURS)
    (accepted,) = accept(sagas, first_lease(), new_checkout())
    columns = (
        *("status", "state", "fencing_token", "owner", "executor_id", "retrying", "version", "engine", "revision"),
        "first_effect_at",
    )
    rows = [sagas.row(saga_id) for saga_id in (claimed_one.saga_id, accepted.saga.saga_id)]
    first, second = ({name: row[name] for name in columns} for row in rows)
    assert first == second
    assert rows[1]["due_at"] - rows[1]["created_at"] == timedelta(seconds=LONG)


def test_when_the_lease_is_over_others_go_on_and_its_writes_count_no_more(sagas: Sagas) -> None:
    (first,) = accept(sagas, first_lease(seconds=PAST), new_checkout())
    (second,) = sagas.claim("another", executor_id=OTHERS)
    assert second.fencing_token == first.fencing_token + 1
    assert sagas.save(CheckpointKind.PROGRESS, first) == {first.saga.saga_id}


def test_who_accepts_again_leases_nothing(sagas: Sagas) -> None:
    """Neither a saga that another executor runs, nor one that has ended."""
    checkout = new_checkout()
    sagas_of_first = accept(sagas, first_lease(), checkout)
    assert (
        accept(
            sagas,
            first_lease("web-2", OTHERS),
            checkout,
            checkout,
        )
        == []
    )
    row = sagas.row(checkout.saga_id)
    assert (row["owner"], row["executor_id"]) == ("web-1", OURS)
    sagas_of_first[0].state = completed()
    sagas.end(*sagas_of_first)
    assert accept(sagas, first_lease(), checkout) == []
    assert sagas.row(checkout.saga_id)["due_at"] is None


def test_what_a_gone_process_had_accepted_is_due_at_once(sagas: Sagas) -> None:
    with sagas.executor(OURS):
        (lease,) = accept(sagas, first_lease(), new_checkout())
        assert sagas.free_abandoned() == 0
    assert sagas.free_abandoned() == 1
    assert [each.saga for each in sagas.claim("another", executor_id=OTHERS)] == [lease.saga]


@pytest.mark.parametrize("notifies", [True, False])
def test_others_hear_of_it_only_when_they_are_notified(sagas: Sagas, fresh_database_url: str, notifies: bool) -> None:
    listener = Listener(fresh_database_url, leases.DUE)
    listener.open()
    accept(sagas, first_lease(notifies=notifies), new_checkout())
    with sagas.transaction() as connection:
        notify(connection, leases.DUE, "the last")
    heard: list[str] = []
    while "the last" not in heard:
        heard += listener.wait(60)
    listener.close()
    assert heard == ([""] if notifies else []) + ["the last"]


def test_what_may_have_been_accepted_is_due_again_and_only_that(sagas: Sagas) -> None:
    (in_doubt,) = accept(sagas, first_lease(), new_checkout())
    (another_s,) = accept(sagas, first_lease(executor_id=OTHERS), new_checkout())
    (ended,) = accept(sagas, first_lease(), new_checkout())
    ended.state = completed()
    sagas.end(ended)
    with sagas.transaction() as connection:
        leases.give_back(connection, [Claimant("web-1", OURS)])
    claimed = sagas.claim("third", executor_id=9)
    assert [lease.saga.saga_id for lease in claimed] == [in_doubt.saga.saga_id]
    assert sagas.row(another_s.saga.saga_id)["owner"] == "web-1"
