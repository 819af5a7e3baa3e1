"""Refunds of saga payments, also before and beside their charges: the barrier over HTTP on a real PostgreSQL."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
from flask.testing import FlaskClient

from pagos import service
from pagos.domain import Refund, VoidPayment
from shared.ids import new_id
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import outcome, wait_for_blocked
from tests.integration.pagos_client import DECLINED, Pagos, Saga, domain_charge, new_user


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


@pytest.mark.parametrize("named", [True, False])
def test_a_refund_gives_the_money_back_once(pagos: Pagos, named: bool) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    saga = Saga(20, "wallet", user)
    pagos.charge(saga)
    saga_id = saga.saga_id if named else None
    first = pagos.refund(saga, saga_id=saga_id, reason="no stock")
    assert first.status_code == 200
    body = first.json or {}
    assert (body["status"], body["amount"], body["refunded"], body["reason"]) == ("refunded", 20, 20, "no stock")
    assert outcome(pagos.refund(saga, saga_id=saga_id, reason="again")) == outcome(first)
    assert pagos.payments_of(saga) == [body]
    assert pagos.balance(user) == 100


def test_refunds_at_the_same_moment_are_one(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    saga = Saga(20, "wallet", user)
    pagos.charge(saga)
    answers = concurrently(*[lambda: pagos.refund(saga)] * 12)
    assert len({outcome(each) for each in answers}) == 1
    assert answers[0].status_code == 200
    assert pagos.balance(user) == 100


def test_a_refund_needs_no_body_at_all(pagos: Pagos) -> None:
    saga = Saga()
    pagos.charge(saga)
    response = pagos.post_raw(f"/api/v1/payments/saga/{saga.payment_id}/refund", b"", None)
    assert (response.json or {})["status"] == "refunded"


def test_a_charge_after_its_refund_is_refused(pagos: Pagos) -> None:
    saga = Saga()
    pagos.charge(saga)
    pagos.refund(saga)
    response = pagos.charge(saga)
    assert response.status_code == 409
    assert (response.json or {})["type"] == "/problems/suspended"
    assert [each["status"] for each in pagos.payments_of(saga)] == ["refunded"]


def test_a_refund_that_comes_first_is_void_and_keeps_the_charge_away(pagos: Pagos) -> None:
    saga = Saga()
    first = pagos.refund(saga)
    assert first.status_code == 200
    body = first.json or {}
    assert (body["status"], body["amount"], body["refunded"]) == ("void", 0, 0)
    assert (body["payment_id"], body["saga_id"]) == (str(saga.payment_id), str(saga.saga_id))
    assert outcome(pagos.refund(saga)) == outcome(first)
    for _ in range(2):
        assert (pagos.charge(saga).json or {})["type"] == "/problems/suspended"
    assert pagos.payments_of(saga) == []


def test_a_refund_of_nothing_known_is_404(pagos: Pagos) -> None:
    saga = Saga()
    assert pagos.refund(saga, saga_id=None).status_code == 404
    assert pagos.charge(saga).status_code == 201  # nothing was left behind


@pytest.mark.parametrize("method", DECLINED)
def test_a_refund_of_a_declined_payment_moves_nothing(pagos: Pagos, method: str) -> None:
    saga = Saga(20, method, new_user())
    pagos.charge(saga)
    before = pagos.audit()
    first = pagos.refund(saga)
    assert first.status_code == 200
    assert ((first.json or {})["status"], (first.json or {})["refunded"]) == ("declined", 0)
    assert outcome(pagos.refund(saga)) == outcome(first)
    assert pagos.audit() == before


def test_a_refund_for_another_saga_is_refused_and_leaves_no_trace(pagos: Pagos) -> None:
    saga, other = Saga(), Saga()
    pagos.charge(saga)
    response = pagos.refund(saga, saga_id=other.saga_id)
    assert response.status_code == 409
    assert (response.json or {})["type"] == "/problems/other-saga"
    assert pagos.charge(other).status_code == 201  # there is no tombstone
    assert pagos.payments_of(saga)[0]["status"] == "captured"


@pytest.mark.parametrize("refunded", [False, True])
def test_a_saga_gets_back_what_it_paid_also_if_that_has_another_id_than_it_chose(pagos: Pagos, refunded: bool) -> None:
    """Somebody else requested the payment of this saga, so that its own request was refused."""
    saga = Saga()
    pagos.charge(saga)
    if refunded:
        pagos.refund(saga)
    response = pagos.refund_payment(new_id(), saga_id=saga.saga_id)
    assert (response.status_code, (response.json or {})["id"]) == (200, str(saga.payment_id))
    assert pagos.payments_of(saga)[0]["status"] == "refunded"
    assert outcome(pagos.refund(saga)) == outcome(response)


def test_a_refund_with_the_ids_of_two_sagas_is_of_the_named_saga_only(pagos: Pagos) -> None:
    saga, other = Saga(), Saga()
    pagos.charge(saga)
    pagos.charge(other)
    assert pagos.refund_payment(saga.payment_id, saga_id=other.saga_id).status_code == 200
    assert [pagos.payments_of(each)[0]["status"] for each in (saga, other)] == ["captured", "refunded"]


# Concurrent charges and refunds.


@pytest.mark.parametrize("method", ["credit_card", "wallet"])
def test_a_charge_that_races_its_refund_is_never_just_captured(pagos: Pagos, method: str) -> None:
    user = new_user()
    pagos.deposit(user, 1000)
    for _ in range(40):
        saga = Saga(20, method, user)
        charged, refunded, again = concurrently(
            partial(pagos.charge, saga), partial(pagos.refund, saga), partial(pagos.charge, saga)
        )
        assert refunded.status_code == 200
        kept = [each["status"] for each in pagos.payments_of(saga)]
        if 201 in {charged.status_code, again.status_code}:
            assert (kept, (refunded.json or {})["status"]) == (["refunded"], "refunded")
        else:
            assert {charged.status_code, again.status_code} == {409}
            assert (kept, (refunded.json or {})["status"]) == ([], "void")
    assert pagos.balance(user) == 1000


def charge_and_refund(pagos: Pagos, saga: Saga, *, fails: bool) -> list[str]:
    """Request a refund while the charge is under way, which then commits or fails; return what became of each."""
    started = threading.Semaphore(0)

    def charge() -> str:
        with pagos.transaction() as connection:
            service.pay_for_saga(connection, [domain_charge(saga)])
            started.release()
            wait_for_blocked(connection)
            if fails:
                connection.rollback()
        return "rolled back" if fails else "captured"

    def refund() -> str:
        with started:
            return str((pagos.refund(saga).json or {})["status"])

    return concurrently(charge, refund)


def test_a_refund_waits_for_the_charge_under_way_and_undoes_it(pagos: Pagos) -> None:
    assert charge_and_refund(pagos, Saga(20), fails=False) == ["captured", "refunded"]


def test_a_charge_waits_for_the_refund_under_way_and_is_refused(pagos: Pagos) -> None:
    saga = Saga(20)
    started = threading.Semaphore(0)

    def refund() -> int:
        with pagos.transaction() as connection:
            void = VoidPayment(saga.saga_id, None)
            assert service.refund(connection, [Refund(saga.saga_id)]) == [Done(void, first=True)]
            started.release()
            wait_for_blocked(connection)
        return 200

    def charge() -> int:
        with started:
            return pagos.charge(saga).status_code

    assert concurrently(refund, charge) == [200, 409]
    assert pagos.payments_of(saga) == []


def test_a_charge_that_failed_midway_leaves_its_refund_nothing_to_undo(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    assert charge_and_refund(pagos, Saga(20, "wallet", user), fails=True) == ["rolled back", "void"]
    assert pagos.balance(user) == 100
