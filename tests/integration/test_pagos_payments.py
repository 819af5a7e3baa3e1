"""Payments outside of sagas, wallets, and idempotency keys, over HTTP on a real PostgreSQL."""

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from flask.testing import FlaskClient

from pagos.service import pay_for_saga
from shared.ids import new_id
from shared.money import MAX_MINOR
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import outcome, wait_for_blocked
from tests.integration.pagos_client import Pagos, Saga, domain_charge, new_user

PAYMENTS, SAGA_PAYMENTS = "/api/v1/payments", "/api/v1/payments/saga"
MOST = str(MAX_MINOR // 100)
PAYMENT = {"merchant_id": "m-1", "order_id": "o-1", "amount": 10, "payment_method": "paypal"}


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


@pytest.mark.parametrize("method", ["credit_card", "debit_card", "paypal"])
def test_a_payment_is_captured(pagos: Pagos, method: str) -> None:
    response = pagos.post(PAYMENTS, {**PAYMENT, "payment_method": method, "amount": "12.50"})
    assert response.status_code == 201
    body = response.json or {}
    assert body["id"] == body["payment_id"]
    assert body["created_at"]
    assert {**body, "id": 0, "payment_id": 0, "created_at": 0} == {
        "id": 0,
        "payment_id": 0,
        "merchant_id": "m-1",
        "order_id": "o-1",
        "user_id": None,
        "amount": Decimal("12.50"),
        "currency": "EUR",
        "payment_method": method,
        "status": "captured",
        "refunded": Decimal("0.00"),
        "created_at": 0,
    }


@pytest.mark.parametrize("amount", ["0.01", "0.1", '"0.01"', '"19.9"', "1e2", MOST, f'"{MOST}"'])
def test_an_exact_amount_comes_out_as_it_went_in(pagos: Pagos, amount: str) -> None:
    body = f'{{"merchant_id":"m","order_id":"o","payment_method":"paypal","amount":{amount}}}'
    response = pagos.post_raw(PAYMENTS, body)
    assert response.status_code == 201
    out = (response.json or {})["amount"]
    assert out == Decimal(amount.strip('"'))
    assert out.as_tuple().exponent == -2


@pytest.mark.parametrize("method", ["invalid_card", "declined_card", "insufficient_funds"])
def test_a_card_made_to_fail_is_declined_every_time_with_its_reason(pagos: Pagos, method: str) -> None:
    for response in (pagos.pay(method=method), pagos.pay(method=method)):
        assert response.status_code == 402
        assert response.mimetype == "application/problem+json"
        assert (response.json or {})["reason"] == method


def test_paying_from_a_wallet_needs_its_user(pagos: Pagos) -> None:
    response = pagos.pay(method="wallet")
    assert response.status_code == 422
    assert [each["field"] for each in (response.json or {})["errors"]] == ["user_id"]


def test_a_payment_draws_on_the_wallet(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 30)
    assert pagos.pay(29.99, "wallet", user).status_code == 201
    assert pagos.balance(user) == Decimal("0.01")


@pytest.mark.parametrize("deposited", [0, 19.99])
def test_a_short_or_unknown_wallet_is_402_and_keeps_what_it_has(pagos: Pagos, deposited: float) -> None:
    user = new_user()
    if deposited:
        pagos.deposit(user, str(deposited))
    response = pagos.pay(20, "wallet", user)
    assert response.status_code == 402
    assert (response.json or {})["reason"] == "wallet_short"
    if deposited:
        assert pagos.balance(user) == Decimal("19.99")


def test_deposits_add_up(pagos: Pagos) -> None:
    user = new_user()
    first = pagos.deposit(user, "10.10")
    assert (first.status_code, first.json) == (
        201,
        {"user_id": user, "balance": Decimal("10.10"), "currency": "EUR"},
    )
    assert (pagos.deposit(user, 5).json or {})["balance"] == Decimal("15.10")
    assert pagos.get(f"/api/v1/wallets/{user}").json == {
        "user_id": user,
        "balance": Decimal("15.10"),
        "currency": "EUR",
    }


def test_a_wallet_without_a_deposit_is_404(pagos: Pagos) -> None:
    assert pagos.get(f"/api/v1/wallets/{new_user()}").status_code == 404


def test_first_deposits_at_the_same_moment_all_count(pagos: Pagos) -> None:
    user = new_user()
    answers = concurrently(*[lambda: pagos.deposit(user, 1)] * 12)
    assert {each.status_code for each in answers} == {201}
    assert pagos.balance(user) == 12


def test_a_wallet_pays_exactly_as_often_as_it_can(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 35)
    answers = concurrently(*[lambda: pagos.pay(10, "wallet", user)] * 12)
    assert sorted(each.status_code for each in answers) == [201] * 3 + [402] * 9
    assert pagos.balance(user) == 5


def test_of_two_draws_at_once_on_a_wallet_that_covers_one_the_second_is_declined(pagos: Pagos) -> None:
    """It comes before the commit of the first, and waits for it; what it read of the wallet before is outdated."""
    user = new_user()
    pagos.deposit(user, 10)
    drawn = threading.Event()
    first, second = Saga(10, "wallet", user), Saga(10, "wallet", user)

    def draw() -> int:
        with pagos.transaction() as connection:
            [outcome] = pay_for_saga(connection, [domain_charge(first)])
            assert isinstance(outcome, Done)
            drawn.set()
            wait_for_blocked(connection)
        return 201

    def draw_too() -> int:
        assert drawn.wait(60)
        return pagos.charge(second).status_code

    assert concurrently(draw, draw_too) == [201, 402]
    assert pagos.balance(user) == 0
    assert [each["status"] for each in pagos.payments_of(second)] == ["declined"]


def test_deposits_draws_and_refunds_at_the_same_moment_lose_nothing(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    paid = [Saga(10, "wallet", user) for _ in range(4)]
    for saga in paid:
        assert pagos.charge(saga).status_code == 201
    tasks = [lambda: pagos.deposit(user, 1)] * 4 + [lambda: pagos.pay(2, "wallet", user)] * 4
    answers = concurrently(*tasks, *[partial(pagos.refund, saga) for saga in paid])
    assert {each.status_code for each in answers} <= {200, 201}
    assert pagos.balance(user) == 100 + 4 - 8


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PAYMENTS, PAYMENT),
        (PAYMENTS, {**PAYMENT, "payment_method": "declined_card"}),
        (SAGA_PAYMENTS, {"user_id": "ana", "amount": 10, "payment_method": "paypal"}),
        (SAGA_PAYMENTS, {"user_id": "ana", "amount": 10, "payment_method": "declined_card"}),
        ("/api/v1/wallets/{user}/deposits", {"amount": 10}),
    ],
)
def test_a_key_gets_the_same_answer_once_and_for_all(pagos: Pagos, path: str, body: dict[str, object]) -> None:
    path = path.format(user=new_user())
    if path == SAGA_PAYMENTS:
        body = {**body, "cart_id": new_id()}
    key = f'"{new_id()}"'
    before = pagos.audit()
    first = pagos.post(path, body, key)
    after = pagos.audit()
    assert after != before
    assert outcome(pagos.post(path, body, key)) == outcome(first)
    assert outcome(pagos.post(path, body, key.strip('"'))) == outcome(first)
    assert pagos.audit() == after
    assert pagos.post(path, {**body, "amount": 11}, key).status_code == 422
    assert pagos.audit() == after


def test_a_key_counts_once_when_its_requests_come_together(pagos: Pagos) -> None:
    user, key = new_user(), str(new_id())
    path = f"/api/v1/wallets/{user}/deposits"
    answers = concurrently(*[lambda: pagos.post(path, {"amount": 7}, key)] * 8)
    assert {each.status_code for each in answers} <= {201, 409}
    assert pagos.balance(user) == 7
    assert pagos.post(path, {"amount": 7}, key).status_code == 201
    assert pagos.balance(user) == 7


def test_a_payment_of_its_own_is_no_sagas_to_refund(pagos: Pagos) -> None:
    payment_id = (pagos.pay().json or {})["id"]
    before = pagos.audit()
    assert pagos.refund_payment(payment_id).status_code == 409
    assert pagos.refund_payment(payment_id, saga_id=new_id()).status_code == 409
    assert pagos.audit() == before


def test_the_currency_is_a_setting(service_client: Callable[..., FlaskClient]) -> None:
    dollars = Pagos(service_client("pagos", currency="USD"))
    user = new_user()
    assert (dollars.pay().json or {})["currency"] == "USD"
    assert (dollars.deposit(user, 3).json or {})["currency"] == "USD"
    euros = Pagos(service_client("pagos"))
    assert euros.pay(1, "wallet", user).status_code == 402
    assert dollars.balance(user) == 3
