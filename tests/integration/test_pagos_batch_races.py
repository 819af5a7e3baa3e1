"""Batches of payments at which the database fails, and batches at the same moment."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text

from pagos import service
from shared.testing import concurrently
from tests.integration.api_client import statuses, wait_for_blocked
from tests.integration.pagos_client import Pagos, Saga, charge, domain_charge, new_user, refund
from tests.integration.test_pagos_ledger import assert_balanced

ServiceClient = Callable[..., FlaskClient]
pytestmark = pytest.mark.usefixtures("together")


@pytest.fixture
def fresh(service_client: ServiceClient, fresh_database_url: str) -> Pagos:
    """pagos on a database of its own, since the audit reads totals."""
    return Pagos(service_client("pagos", database_url=fresh_database_url))


# Failures.


@pytest.fixture
def poison(fresh_database_url: str) -> None:
    """Make the database fail for this user."""
    admin = create_engine(fresh_database_url)
    with admin.begin() as connection:
        connection.execute(text("ALTER TABLE pagos.payments ADD CHECK (user_id <> 'poison')"))
    admin.dispose()


@pytest.mark.usefixtures("poison")
def test_a_command_at_which_the_database_fails_takes_no_other_with_it(fresh: Pagos) -> None:
    fresh.deposit("ana", 100)
    fresh.deposit("poison", 100)
    sagas = [Saga(10, "wallet"), Saga(10, "wallet", "poison"), Saga(10), Saga(10, "invalid_card"), Saga(200, "wallet")]
    assert statuses(charge(fresh, sagas)) == [201, 500, 201, 402, 402]
    assert [fresh.balance(user) for user in ("ana", "poison")] == [90, 100]
    assert statuses(charge(fresh, sagas)) == [201, 500, 201, 402, 402]
    assert [each["body"]["status"] for each in refund(fresh, sagas)] == [
        "refunded",
        "void",
        "refunded",
        "declined",
        "declined",
    ]
    assert_balanced(fresh.audit())


def test_a_wallet_gets_back_what_it_gave_for_a_payment_id_that_somebody_else_took_meanwhile(fresh: Pagos) -> None:
    fresh.deposit("ana", 100)
    fast, slow, beside = Saga(), Saga(20, "wallet"), Saga(20, "wallet")
    slow.charge["payment_id"] = fast.payment_id

    taken = threading.Semaphore(0)

    def take_it() -> list[int]:
        with fresh.transaction() as connection:
            service.pay_for_saga(connection, [domain_charge(fast)])
            taken.release()
            wait_for_blocked(connection)
        return []

    def want_it() -> list[int]:
        assert taken.acquire(timeout=30)
        return statuses(charge(fresh, [slow, beside]))

    assert concurrently(take_it, want_it) == [[], [409, 201]]
    assert fresh.balance("ana") == 80
    assert_balanced(fresh.audit())


# Concurrency.


def test_batches_of_the_same_sagas_in_any_order_take_and_give_back_once(fresh: Pagos) -> None:
    users = [new_user() for _ in range(3)]
    for user in users:
        fresh.deposit(user, 10_000)
    for _ in range(4):
        sagas = [Saga(10, method, user) for user in users for method in ("wallet", "credit_card", "declined_card")]
        shuffled = [random.sample(sagas, k=len(sagas)) for _ in range(6)]
        answers = concurrently(*[partial(charge, fresh, order) for order in shuffled])
        seen = Counter(status for outcomes in answers for status in statuses(outcomes))
        assert seen == {201: 6 * 6, 402: 6 * 3}
        assert [fresh.balance(user) for user in users] == [10_000 - 10] * 3
        mixed = [partial(refund, fresh, order) for order in shuffled[:3]] + [partial(charge, fresh, shuffled[3])]
        outcomes = [outcome for batch in concurrently(*mixed) for outcome in batch]
        assert set(statuses(outcomes)) <= {200, 201, 402, 409}
        assert [fresh.balance(user) for user in users] == [10_000] * 3
        assert_balanced(fresh.audit())


def test_batches_over_the_same_wallets_in_any_order_never_deadlock(fresh: Pagos) -> None:
    users = [new_user() for _ in range(5)]
    for user in users:
        fresh.deposit(user, 1000)

    def shop(number: int) -> None:
        dice = random.Random(number)
        for _ in range(5):
            sagas = [Saga(1, "wallet", user) for user in dice.sample(users, k=5)]
            assert statuses(charge(fresh, sagas)) == [201] * 5
            assert statuses(refund(fresh, dice.sample(sagas, k=5))) == [200] * 5

    concurrently(*[partial(shop, number) for number in range(6)])
    assert [fresh.balance(user) for user in users] == [1000] * 5
    assert_balanced(fresh.audit())


def test_charges_that_meet_their_refunds_in_batches_are_never_just_captured(fresh: Pagos) -> None:
    fresh.deposit("ana", 1000)
    for _ in range(10):
        sagas = [Saga(10, "wallet") for _ in range(6)]
        concurrently(partial(charge, fresh, sagas), partial(refund, fresh, sagas[::-1]), partial(charge, fresh, sagas))
        assert {payment["status"] for saga in sagas for payment in fresh.payments_of(saga)} <= {"refunded"}
        assert fresh.balance("ana") == 1000
    assert_balanced(fresh.audit())
