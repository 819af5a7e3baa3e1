"""The rules of pagos, without a database."""

from datetime import UTC, datetime
from typing import Any, get_args
from uuid import uuid4

import pytest

from pagos.domain import (
    ALWAYS_DECLINED,
    IN_WORDS,
    Decline,
    MerchantCharge,
    Method,
    Payment,
    SagaCharge,
    declined,
    funding_account,
)
from shared.http.answers import problem_of
from shared.http.schemas import PaymentMethod
from shared.saga.repetition import contradiction

SAGA, CART, PAYMENT = uuid4(), uuid4(), uuid4()


def saga_charge(**changes: Any) -> SagaCharge:
    values: dict[str, Any] = {
        "id": PAYMENT,
        "saga_id": SAGA,
        "cart_id": CART,
        "user_id": "ana",
        "amount_minor": 1250,
        "currency": "EUR",
        "payment_method": Method.WALLET,
    }
    return SagaCharge(**(values | changes))


def test_the_methods_are_those_that_every_service_takes() -> None:
    assert set(get_args(PaymentMethod)) == set(Method)


def test_only_cards_made_to_fail_are_always_declined() -> None:
    assert set(Method) - set(ALWAYS_DECLINED) == {
        Method.CREDIT_CARD,
        Method.DEBIT_CARD,
        Method.PAYPAL,
        Method.WALLET,
    }


def test_every_decline_has_a_reason_of_its_own() -> None:
    assert set(IN_WORDS) == set(Decline)
    assert len(set(IN_WORDS.values())) == len(Decline)
    assert len(set(ALWAYS_DECLINED.values())) == len(ALWAYS_DECLINED)


@pytest.mark.parametrize(
    ("method", "account"),
    [
        (Method.CREDIT_CARD, "clearing:credit_card"),
        (Method.DEBIT_CARD, "clearing:debit_card"),
        (Method.PAYPAL, "clearing:paypal"),
        (Method.WALLET, "wallet:ana"),
    ],
)
def test_a_charge_draws_on_the_account_of_its_method(method: Method, account: str) -> None:
    assert funding_account(saga_charge(payment_method=method)) == account


def test_a_decline_is_a_402_that_names_reason_payment_and_saga() -> None:
    problem = problem_of(declined(saga_charge(), Decline.WALLET_SHORT))
    assert problem == {
        "type": "/problems/payment-declined",
        "title": "The payment was declined",
        "status": 402,
        "detail": "the wallet does not hold enough",
        "reason": "wallet_short",
        "payment_id": PAYMENT,
        "saga_id": SAGA,
    }


def test_a_merchants_decline_names_no_saga() -> None:
    charge = MerchantCharge(
        id=PAYMENT,
        amount_minor=1,
        currency="EUR",
        payment_method=Method.INVALID_CARD,
        user_id=None,
        merchant_id="m",
        order_id="o",
    )
    assert "saga_id" not in problem_of(declined(charge, Decline.INVALID_CARD))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cart_id": uuid4()}, "cart_id"),
        ({"user_id": "eva"}, "user_id"),
        ({"amount_minor": 1251}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"payment_method": Method.PAYPAL}, "payment_method"),
        ({"id": uuid4()}, "payment_id"),
    ],
)
def test_a_charge_for_something_else_is_no_repeat(change: dict[str, Any], named: str) -> None:
    refusal = contradiction(SAGA, "a charge", saga_charge().named, saga_charge(**change).named)
    assert refusal is not None
    assert refusal.fields["field"] == named


def test_a_payment_id_that_nobody_chose_is_not_compared() -> None:
    unchosen = saga_charge(id=uuid4(), id_chosen=False)
    assert contradiction(SAGA, "a charge", saga_charge().named, unchosen.named) is None


def payment(**fields: Any) -> Payment:
    charge = saga_charge(**fields)
    return Payment(
        id=charge.id,
        saga_id=charge.saga_id,
        cart_id=charge.cart_id,
        merchant_id=None,
        order_id=None,
        user_id=charge.user_id,
        amount_minor=charge.amount_minor,
        refunded_minor=0,
        currency=charge.currency,
        payment_method=charge.payment_method,
        status="captured",
        reason=None,
        created_at=datetime.now(UTC),
    )
