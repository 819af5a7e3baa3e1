"""Saga payments and their refunds: the barrier over HTTP on a real PostgreSQL."""

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from flask.testing import FlaskClient

from pagos import service
from pagos.domain import Refund, VoidPayment
from shared.ids import new_id
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import outcome, wait_for_blocked
from tests.integration.pagos_client import Pagos, Saga, domain_charge, new_user

DECLINED = ["invalid_card", "declined_card", "insufficient_funds", "wallet"]


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


def _closed_gate() -> threading.Semaphore:
    """Make a semaphore that the first caller opens once."""
    return threading.Semaphore(0)


# Charges.


def test_a_charge_is_captured_under_the_id_that_the_caller_chose(pagos: Pagos) -> None:
    saga = Saga("20.40")
    response = pagos.charge(saga)
    assert response.status_code == 201
    body = response.json or {}
    assert body.pop("created_at")
    assert body == {
        "id": str(saga.payment_id),
        "payment_id": str(saga.payment_id),
        "saga_id": str(saga.saga_id),
        "cart_id": str(saga.cart_id),
        "user_id": "ana",
        "amount": Decimal("20.40"),
        "currency": "EUR",
        "payment_method": "credit_card",
        "status": "captured",
        "refunded": Decimal("0.00"),
        "reason": None,
    }


def test_without_a_saga_id_the_carts_id_stands_for_it_and_without_a_payment_id_one_is_made(pagos: Pagos) -> None:
    cart_id = new_id()
    body = {"cart_id": cart_id, "user_id": "ana", "amount": 5, "payment_method": "paypal"}
    payment = pagos.post("/api/v1/payments/saga", body).json or {}
    assert payment["saga_id"] == str(cart_id)
    assert payment["payment_id"][14] == "7"  # a UUIDv7
    assert pagos.refund_payment(payment["payment_id"], saga_id=cart_id).status_code == 200


def test_a_repeated_charge_answers_the_same_and_takes_nothing_more(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    saga = Saga(20, "wallet", user)
    first = pagos.charge(saga)
    assert outcome(pagos.charge(saga)) == outcome(first)
    assert outcome(pagos.charge(saga, payment_id=None)) == outcome(first)
    assert pagos.balance(user) == 80
    assert len(pagos.payments_of(saga)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 21},
        {"user_id": "eva"},
        {"payment_method": "paypal"},
        {"cart_id": "01a206eb-175d-7018-955f-f70460c031b0"},
        {"payment_id": "01a206eb-175d-7018-955f-f70460c031b0"},
    ],
)
def test_a_saga_that_paid_is_not_charged_for_something_else(pagos: Pagos, change: dict[str, object]) -> None:
    saga = Saga(20)
    pagos.charge(saga)
    response = pagos.charge(saga, **change)
    assert response.status_code == 409
    assert (response.json or {})["field"] in change


def test_a_payment_whose_id_was_left_to_us_is_not_taken_for_one_that_was_chosen(pagos: Pagos) -> None:
    """Another request paid under the saga's id first: the saga learns that, and orders nothing with that payment."""
    saga = Saga(20)
    assert pagos.charge(saga, payment_id=None).status_code == 201
    response = pagos.charge(saga)
    assert (response.status_code, (response.json or {})["field"]) == (409, "payment_id")
    assert pagos.charge(saga, payment_id=None).status_code == 201
    other = pagos.refund(saga)
    assert (other.status_code, (other.json or {})["type"]) == (409, "/problems/other-saga")


def test_charges_of_one_saga_at_the_same_moment_are_one(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    saga = Saga(20, "wallet", user)
    answers = concurrently(*[lambda: pagos.charge(saga)] * 12)
    assert len({outcome(each) for each in answers}) == 1
    assert answers[0].status_code == 201
    assert pagos.balance(user) == 80


def test_a_duplicate_waits_for_the_first_and_answers_the_same(pagos: Pagos) -> None:
    saga = Saga(20)

    def first() -> None:
        with pagos.transaction() as connection:
            service.pay_for_saga(connection, [domain_charge(saga)])
            started.release()
            wait_for_blocked(connection)

    started = _closed_gate()

    def second() -> int:
        with started:
            return pagos.charge(saga).status_code

    assert concurrently(first, second) == [None, 201]
    assert len(pagos.payments_of(saga)) == 1


def test_a_payment_id_serves_one_saga(pagos: Pagos) -> None:
    saga, other = Saga(), Saga()
    pagos.charge(saga)
    response = pagos.charge(other, payment_id=saga.payment_id)
    assert response.status_code == 409
    assert (response.json or {})["type"] == "/problems/payment-id-taken"
    assert outcome(pagos.charge(other, payment_id=saga.payment_id)) == outcome(response)  # its saga was told
    assert pagos.payments_of(other) == []


def test_a_payment_id_serves_one_of_many_sagas_that_ask_at_the_same_moment(pagos: Pagos) -> None:
    payment_id = new_id()
    sagas = [Saga() for _ in range(8)]
    answers = concurrently(*[partial(pagos.charge, saga, payment_id=payment_id) for saga in sagas])
    assert sorted(each.status_code for each in answers) == [201] + [409] * 7


@pytest.mark.parametrize("method", DECLINED)
def test_a_decline_is_repeated_word_for_word(pagos: Pagos, method: str) -> None:
    saga = Saga(20, method, new_user())
    first = pagos.charge(saga)
    assert first.status_code == 402
    assert outcome(pagos.charge(saga)) == outcome(first)
    payment = pagos.payments_of(saga)[0]
    assert (payment["status"], payment["reason"]) == ("declined", (first.json or {})["reason"])


def test_a_decline_stays_one_after_the_wallet_was_filled(pagos: Pagos) -> None:
    user = new_user()
    saga = Saga(20, "wallet", user)
    first = pagos.charge(saga)
    pagos.deposit(user, 100)
    assert outcome(pagos.charge(saga)) == outcome(first)
    assert pagos.balance(user) == 100
    assert pagos.charge(Saga(20, "wallet", user)).status_code == 201  # another saga may pay


def test_declines_of_one_saga_at_the_same_moment_are_one(pagos: Pagos) -> None:
    saga = Saga(20, "declined_card")
    answers = concurrently(*[lambda: pagos.charge(saga)] * 12)
    assert len({outcome(each) for each in answers}) == 1
    assert answers[0].status_code == 402
    assert len(pagos.payments_of(saga)) == 1


# Refunds.


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
def test_a_refund_for_a_saga_that_paid_otherwise_is_refused(pagos: Pagos, refunded: bool) -> None:
    saga = Saga()
    pagos.charge(saga)
    if refunded:
        pagos.refund(saga)
    before = pagos.payments_of(saga)
    response = pagos.refund_payment(new_id(), saga_id=saga.saga_id)
    assert response.status_code == 409
    assert (response.json or {})["field"] == "payment_id"
    assert pagos.payments_of(saga) == before
    assert pagos.refund(saga).status_code == 200  # the right request still succeeds


def test_a_refund_with_the_ids_of_two_sagas_is_refused(pagos: Pagos) -> None:
    saga, other = Saga(), Saga()
    pagos.charge(saga)
    pagos.charge(other)
    assert pagos.refund_payment(saga.payment_id, saga_id=other.saga_id).status_code == 409
    assert [pagos.payments_of(each)[0]["status"] for each in (saga, other)] == ["captured", "captured"]


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


def test_a_refund_waits_for_the_charge_under_way_and_undoes_it(pagos: Pagos) -> None:
    saga = Saga(20)
    started = _closed_gate()

    def charge() -> str:
        with pagos.transaction() as connection:
            service.pay_for_saga(connection, [domain_charge(saga)])
            started.release()
            wait_for_blocked(connection)
        return "captured"

    def refund() -> str:
        with started:
            return str((pagos.refund(saga).json or {})["status"])

    assert concurrently(charge, refund) == ["captured", "refunded"]


def test_a_charge_waits_for_the_refund_under_way_and_is_refused(pagos: Pagos) -> None:
    saga = Saga(20)
    started = _closed_gate()

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
    saga = Saga(20, "wallet", user)
    started = _closed_gate()

    def charge() -> str:
        with pagos.transaction() as connection:
            service.pay_for_saga(connection, [domain_charge(saga)])
            started.release()
            wait_for_blocked(connection)
            connection.rollback()
        return "rolled back"

    def refund() -> str:
        with started:
            return str((pagos.refund(saga).json or {})["status"])

    assert concurrently(charge, refund) == ["rolled back", "void"]
    assert pagos.balance(user) == 100


# Reading.


def test_a_cart_lists_its_payments_oldest_first(pagos: Pagos) -> None:
    cart_id = new_id()
    sagas = [Saga(1, "declined_card"), Saga(2), Saga(3, "invalid_card"), Saga(4)]
    for saga in sagas:
        pagos.charge(saga, cart_id=cart_id)
    pagos.refund(sagas[1])
    items = (pagos.get(f"/api/v1/payments/saga/{cart_id}").json or {})["items"]
    assert [(each["amount"], each["status"]) for each in items] == [
        (1, "declined"),
        (2, "refunded"),
        (3, "declined"),
        (4, "captured"),
    ]


def test_an_unknown_cart_has_no_payments(pagos: Pagos) -> None:
    assert pagos.get(f"/api/v1/payments/saga/{new_id()}").json == {"items": []}


# Cost.


def test_use_cases_take_few_statements(pagos: Pagos) -> None:
    user = new_user()
    card, wallet, bad = Saga(), Saga(20, "wallet", user), Saga(20, "declined_card")
    taken = {}
    requests: dict[str, Callable[[], object]] = {
        "deposit": lambda: pagos.deposit(user, 100),
        "charge": lambda: pagos.charge(card),
        "charge repeated": lambda: pagos.charge(card),
        "charge a wallet": lambda: pagos.charge(wallet),
        "decline": lambda: pagos.charge(bad),
        "refund": lambda: pagos.refund(card),
        "refund a wallet": lambda: pagos.refund(wallet),
        "void": lambda: pagos.refund(Saga()),
    }
    for name, request in requests.items():
        with pagos.statements() as sent:
            request()
        taken[name] = len(sent)
    assert taken == {
        "deposit": 2,
        "charge": 2,
        "charge repeated": 3,
        "charge a wallet": 3,
        "decline": 3,
        "refund": 7,  # two transactions, between which the sagas' states are read
        "refund a wallet": 7,
        "void": 2,
    }
