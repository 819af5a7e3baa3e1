"""Saga payments: the barrier over HTTP on a real PostgreSQL."""

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from flask.testing import FlaskClient

from pagos import service
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import outcome, wait_for_blocked
from tests.integration.pagos_client import DECLINED, Pagos, Saga, domain_charge, new_user


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


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
    refunded = pagos.refund(saga)
    assert (refunded.status_code, (refunded.json or {})["status"]) == (200, "refunded"), "whatever it paid"


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

    started = threading.Semaphore(0)

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
        "refund": 5,  # two transactions, between which the sagas' states are read
        "refund a wallet": 5,
        "void": 2,
    }
