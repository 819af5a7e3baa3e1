"""Payments of many sagas in one request and one transaction: each has the outcome that it would have alone."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask.testing import FlaskClient

from pagos import service
from pagos.domain import Refund
from shared.errors import DomainError
from shared.saga.barrier import Done
from tests.integration.api_client import body_of, problem_of, statuses
from tests.integration.pagos_client import PAYMENTS, Pagos, Saga, charge, domain_charge, new_user, refund

ServiceClient = Callable[..., FlaskClient]
pytestmark = pytest.mark.usefixtures("together")


@pytest.fixture
def pagos(service_client: ServiceClient) -> Pagos:
    return Pagos(service_client("pagos"))


# Each has the outcome that it would have alone.


def test_a_command_of_many_has_the_answer_of_its_own_endpoint(pagos: Pagos) -> None:
    saga = Saga()
    [charged] = charge(pagos, [saga])
    alone = pagos.charge(saga)
    assert charged == {"status": 201, "body": alone.json} == {"status": alone.status_code, "body": alone.json}
    [refunded] = refund(pagos, [saga])
    assert refunded == {"status": 200, "body": pagos.refund(saga).json}


def test_new_repeated_declined_changed_taken_and_undone_charges_may_come_together(pagos: Pagos) -> None:
    new, repeated, declined, changed, undone, taker = (Saga() for _ in range(6))
    declined.charge["payment_method"] = "declined_card"
    first = body_of(pagos.charge(repeated))
    refusal = problem_of(pagos.charge(declined))
    pagos.charge(changed)
    changed.charge["amount"] = 21
    pagos.refund(undone)
    taker.charge["payment_id"] = repeated.payment_id
    outcomes = charge(pagos, [undone, repeated, taker, new, changed, declined])
    assert statuses(outcomes) == [409, 201, 409, 201, 409, 402]
    kinds = [each["body"].get("type") for each in outcomes]
    suspended, taken, other = ("/problems/" + kind for kind in ("suspended", "payment-id-taken", "repeated-otherwise"))
    assert kinds == [suspended, None, taken, None, other, "/problems/payment-declined"]
    assert (outcomes[1]["body"], outcomes[5]["body"]) == (first, refusal)


def test_what_was_captured_declined_refunded_or_never_requested_is_refunded_together(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    card, wallet, wallet_too, declined, refunded, never = (Saga() for _ in range(6))
    for saga in (wallet, wallet_too):
        saga.charge |= {"payment_method": "wallet", "user_id": user}
    declined.charge["payment_method"] = "invalid_card"
    charge(pagos, [card, wallet, wallet_too, declined, refunded])
    pagos.refund(refunded)
    outcomes = refund(pagos, [never, card, declined, wallet, refunded, wallet_too])
    kinds = ["void", "refunded", "declined", "refunded", "refunded", "refunded"]
    assert [each["body"]["status"] for each in outcomes] == kinds
    assert pagos.balance(user) == 100
    assert statuses(charge(pagos, [never, card])) == [409, 409]


def test_a_refund_of_another_sagas_payment_leaves_no_trace_among_good_ones(pagos: Pagos) -> None:
    good, owner, mistaken, misnamed = (Saga() for _ in range(4))
    charge(pagos, [good, owner, misnamed])
    outcomes = pagos.many(
        (good.refund_path, {"saga_id": good.saga_id}),
        (owner.refund_path, {"saga_id": mistaken.saga_id}),
        (Saga().refund_path, {"saga_id": misnamed.saga_id}),
    )
    assert statuses(outcomes) == [200, 409, 200]
    assert [pagos.payments_of(each)[0]["status"] for each in (good, owner, misnamed)] == [
        "refunded",
        "captured",
        "refunded",
    ]
    assert statuses(charge(pagos, [mistaken])) == [201]
    assert [each["body"]["status"] for each in refund(pagos, [owner, misnamed])] == ["refunded", "refunded"]


def test_who_left_a_payments_id_to_pagos_is_not_given_back_anothers_money(pagos: Pagos) -> None:
    owner, unnamed = Saga(), Saga()
    del unnamed.charge["payment_id"]
    charge(pagos, [owner, unnamed])
    with pagos.transaction() as connection:
        service.refund(connection, [Refund(unnamed.saga_id, owner.payment_id)])
    assert [pagos.payments_of(each)[0]["status"] for each in (owner, unnamed)] == ["captured", "refunded"]


def test_refunds_that_name_a_saga_or_not_may_come_together(pagos: Pagos) -> None:
    named, unnamed, unknown = Saga(), Saga(), Saga()
    charge(pagos, [named, unnamed])
    merchants = body_of(pagos.pay())["id"]
    outcomes = pagos.many(
        (unknown.refund_path, {}),
        (unnamed.refund_path, {}),
        (f"{PAYMENTS}/{merchants}/refund", {}),
        (named.refund_path, {"saga_id": named.saga_id}),
    )
    assert statuses(outcomes) == [404, 200, 409, 200]
    assert outcomes[1]["body"]["saga_id"] == str(unnamed.saga_id)


def test_a_wallet_pays_for_as_many_as_it_holds_in_their_order(pagos: Pagos) -> None:
    poor, rich = new_user(), new_user()
    pagos.deposit(poor, 50)
    pagos.deposit(rich, 1000)
    amounts = [(poor, 30), (rich, 30), (poor, 30), (poor, 20), (rich, 30), (poor, 1)]
    sagas = [Saga(amount, "wallet", user) for user, amount in amounts]
    assert statuses(charge(pagos, sagas)) == [201, 201, 402, 201, 201, 402]
    assert [pagos.balance(user) for user in (poor, rich)] == [0, 940]


@pytest.mark.parametrize("method", ["credit_card", "wallet"])
def test_of_two_that_want_one_payment_id_the_first_has_it(pagos: Pagos, method: str) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    first, second, other = (Saga(20, method, user) for _ in range(3))
    second.charge["payment_id"] = first.payment_id
    assert statuses(charge(pagos, [first, second, other])) == [201, 409, 201]
    assert pagos.balance(user) == (60 if method == "wallet" else 100)


def test_a_step_says_of_each_saga_whether_it_was_new(pagos: Pagos) -> None:
    """Callers publish an event only for new ones."""
    before, new, never = Saga(), Saga(), Saga()

    def firsts(found: Sequence[Done[Any] | DomainError]) -> list[bool]:
        return [not isinstance(each, DomainError) and each.first for each in found]

    with pagos.transaction() as connection:
        both = [domain_charge(saga) for saga in (before, new)]
        assert firsts(service.pay_for_saga(connection, both[:1])) == [True]
        assert firsts(service.pay_for_saga(connection, both)) == [False, True]
        undone = [Refund(saga.saga_id) for saga in (before, new, never)]
        assert firsts(service.refund(connection, undone[:1])) == [True]
        assert firsts(service.refund(connection, undone)) == [False, True, True]
        assert firsts(service.refund(connection, undone)) == [False, False, False]


def test_what_is_not_charged_since_its_payment_id_is_taken_leaves_the_wallet_to_the_next(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 30)
    taker, other, third = Saga(), Saga(30, "wallet", user), Saga(30, "wallet", user)
    pagos.charge(taker)
    other.charge["payment_id"] = taker.payment_id
    assert statuses(charge(pagos, [other, third])) == [409, 201]


# Cost.


def test_a_batch_takes_as_many_statements_as_one(pagos: Pagos) -> None:
    cards, declined = [Saga() for _ in range(32)], [Saga(20, "declined_card") for _ in range(32)]
    requests: dict[str, Callable[[], object]] = {
        "charge": lambda: charge(pagos, cards),
        "charge repeated": lambda: charge(pagos, cards),
        "decline": lambda: charge(pagos, declined),
        "refund": lambda: refund(pagos, cards),
        "refund of nothing": lambda: refund(pagos, declined),
    }
    taken = {}
    for name, request in requests.items():
        with pagos.statements() as sent:
            request()
        taken[name] = len(sent)
    # Refunds of captured money take two transactions, between which the sagas' states are read.
    assert taken == {"charge": 2, "charge repeated": 3, "decline": 3, "refund": 5, "refund of nothing": 4}


def test_a_hundred_commands_fit_in_one_request(pagos: Pagos) -> None:
    assert statuses(charge(pagos, [Saga("0.01") for _ in range(100)])) == [201] * 100


def test_commands_that_do_not_fit_are_told_so_beside_others(pagos: Pagos) -> None:
    good = Saga()
    outcomes = pagos.many(
        (PAYMENTS, {**good.charge, "amount": "much"}), ("/api/v1/payments", {}), (PAYMENTS, good.charge)
    )
    assert statuses(outcomes) == [422, 404, 201]
    assert outcomes[0]["body"]["errors"][0]["field"] == "amount"


def test_two_charges_of_one_saga_in_a_request_are_done_one_after_the_other(pagos: Pagos) -> None:
    saga = Saga()
    again, other = dict(saga.charge), saga.charge | {"amount": 1}
    first, repeated, changed = pagos.many((PAYMENTS, saga.charge), (PAYMENTS, again), (PAYMENTS, other))
    assert first == repeated
    assert changed["status"] == 409
