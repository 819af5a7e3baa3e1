"""The ledger always balances, its constraints refuse anything else, and the audit finds what was broken on purpose."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import IntegrityError

from pagos.domain import ALWAYS_DECLINED, Method
from shared.testing import concurrently
from tests.integration.pagos_client import Pagos, Saga, new_user

BROKEN = ["broken_payments", "broken_wallets"]
MONEY = ["captured_minor", "refunded_minor", "net_minor"]


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


@pytest.fixture
def fresh(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Pagos:
    """pagos on a database of its own, since the audit reads totals."""
    return Pagos(service_client("pagos", database_url=fresh_database_url))


def assert_balanced(audit: dict[str, Any]) -> None:
    """Check what must hold whatever was done."""
    assert audit["ledger_sum"] == 0
    assert {name: audit[name] for name in BROKEN} == {name: [] for name in BROKEN}
    for wallets in audit["wallets"].values():
        assert wallets["balance_minor"] == wallets["ledger_minor"]
    for currency, balances in audit["accounts"].items():
        earned = sum(
            audit[group].get(currency, {}).get("net_minor", 0) for group in ("saga_payments", "other_payments")
        )
        assert -balances.get("revenue", 0) == earned


# The audit.


def test_an_empty_service_balances(fresh: Pagos) -> None:
    audit = fresh.audit()
    assert_balanced(audit)
    assert audit["saga_payments"] == audit["other_payments"] == audit["payments"] == audit["wallets"] == {}


def test_the_audit_counts_sagas_apart_from_merchants(fresh: Pagos) -> None:
    user = new_user()
    fresh.deposit(user, 100)
    kept, undone, bad = Saga(20, "wallet", user), Saga("7.50"), Saga(1, "declined_card")
    for saga in (kept, undone, bad):
        fresh.charge(saga)
    fresh.refund(undone)
    fresh.refund(Saga())
    fresh.pay("3.25")
    fresh.pay(5, "invalid_card")
    audit = fresh.audit()
    assert_balanced(audit)
    assert audit["saga_payments"] == {"EUR": dict(zip(MONEY, [2750, 750, 2000], strict=True))}
    assert audit["other_payments"] == {"EUR": dict(zip(MONEY, [325, 0, 325], strict=True))}
    assert audit["payments"] == {"captured": 2, "refunded": 1, "declined": 2}
    assert audit["wallets"] == {"EUR": {"balance_minor": 8000, "ledger_minor": 8000}}
    assert audit["accounts"] == {
        "EUR": {"cash": 10000, "wallets": -8000, "clearing:credit_card": 325, "revenue": -2325}
    }


def test_what_each_saga_paid_and_got_back_is_told(fresh: Pagos) -> None:
    paid, undone, bad, strange = Saga("7.50"), Saga(2), Saga(1, "declined_card"), Saga()
    for saga in (paid, undone, bad):
        fresh.charge(saga)
    fresh.refund(undone)
    fresh.refund(strange)
    fresh.pay()
    told = {fact["saga_id"]: fact for fact in fresh.facts(*(saga.saga_id for saga in (paid, undone, bad, strange)))}
    names = ["captured_minor", "refunded_minor", "payments", "captured", "undone"]
    assert {saga: [fact[name] for name in names] for saga, fact in told.items()} == {
        str(paid.saga_id): [750, 0, 1, 1, False],
        str(undone.saga_id): [200, 200, 1, 0, True],
        str(bad.saga_id): [0, 0, 0, 0, False],
    }
    assert {fact["currency"] for fact in told.values()} == {"EUR"}


def test_currencies_are_kept_apart(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> None:
    euros = Pagos(service_client("pagos", database_url=fresh_database_url))
    dollars = Pagos(service_client("pagos", database_url=fresh_database_url, currency="USD"))
    user = new_user()
    for pagos, amount in ((euros, 10), (dollars, 20)):
        pagos.deposit(user, 100)
        pagos.charge(Saga(amount, "wallet", user))
    audit = euros.audit()
    assert_balanced(audit)
    assert {currency: sums["net_minor"] for currency, sums in audit["saga_payments"].items()} == {
        "EUR": 1000,
        "USD": 2000,
    }
    assert euros.balance(user) == 90
    assert dollars.balance(user) == 80


def test_a_wallet_is_refunded_in_the_currency_that_it_paid(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    euros = Pagos(service_client("pagos", database_url=fresh_database_url))
    dollars = Pagos(service_client("pagos", database_url=fresh_database_url, currency="USD"))
    user = new_user()
    saga = Saga(10, "wallet", user)
    euros.deposit(user, 100)
    euros.charge(saga)
    assert (dollars.refund(saga).json or {})["currency"] == "EUR"
    assert euros.balance(user) == 100
    assert_balanced(euros.audit())


def test_the_books_balance_in_every_snapshot(fresh: Pagos) -> None:
    user = new_user()
    fresh.deposit(user, 50)
    sagas = [Saga(10, "wallet", user) for _ in range(8)]

    def shop(saga: Saga) -> None:
        fresh.charge(saga)
        fresh.refund(saga)
        fresh.deposit(user, 1)

    def watch() -> None:
        for _ in range(25):
            assert_balanced(fresh.audit())

    concurrently(watch, *[partial(shop, saga) for saga in sagas])
    assert fresh.balance(user) == 58
    assert_balanced(fresh.audit())


# Any history.

USERS, SAGAS = 2, 3
AMOUNTS = st.integers(1, 30)
STEPS = st.one_of(
    st.tuples(st.just("deposit"), st.integers(0, USERS - 1), AMOUNTS),
    st.tuples(st.just("charge"), st.integers(0, SAGAS - 1), st.just(0)),
    st.tuples(st.just("refund"), st.integers(0, SAGAS - 1), st.just(0)),
)
WANTS = st.lists(
    st.tuples(AMOUNTS, st.sampled_from(sorted(Method)), st.integers(0, USERS - 1)), min_size=SAGAS, max_size=SAGAS
)


class Expected:
    """The answers expected of pagos, computed in the simplest way."""

    def __init__(self, users: list[str], sagas: list[Saga]) -> None:
        self.balances = dict.fromkeys(users, 0)
        self._states = {saga.saga_id: "new" for saga in sagas}
        self._undone: set[object] = set()

    def charge(self, saga: Saga) -> int:
        if saga.saga_id in self._undone:
            return 409
        if self._states[saga.saga_id] == "new":
            self._states[saga.saga_id] = "captured" if self._take(saga.charge) else "declined"
        return 201 if self._states[saga.saga_id] == "captured" else 402

    def refund(self, saga: Saga) -> str:
        before = self._states[saga.saga_id]
        after = {"new": "void", "captured": "refunded"}.get(before, before)
        if before == "captured" and saga.charge["payment_method"] == "wallet":
            self.balances[saga.charge["user_id"]] += saga.charge["amount"]
        self._undone.add(saga.saga_id)
        self._states[saga.saga_id] = after
        return after

    def _take(self, charge: dict[str, Any]) -> bool:
        if charge["payment_method"] != "wallet":
            return charge["payment_method"] not in ALWAYS_DECLINED
        if self.balances[charge["user_id"]] < charge["amount"]:
            return False
        self.balances[charge["user_id"]] -= charge["amount"]
        return True


@given(steps=st.lists(STEPS, max_size=15), wants=WANTS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_answers_as_the_rules_say_and_balances(
    pagos: Pagos, steps: list[tuple[str, int, int]], wants: list[tuple[int, str, int]]
) -> None:
    users = [new_user() for _ in range(USERS)]
    sagas = [Saga(amount, method, users[user]) for amount, method, user in wants]
    expected = Expected(users, sagas)
    for step, number, amount in steps:
        if step == "deposit":
            pagos.deposit(users[number], amount)
            expected.balances[users[number]] += amount
        elif step == "charge":
            assert pagos.charge(sagas[number]).status_code == expected.charge(sagas[number])
        else:
            assert (pagos.refund(sagas[number]).json or {})["status"] == expected.refund(sagas[number])
    deposited = {number for step, number, _ in steps if step == "deposit"}
    for number in deposited:
        assert pagos.balance(users[number]) == expected.balances[users[number]]
    assert_balanced(pagos.audit())


# Broken on purpose.


@pytest.fixture
def admin(fresh_database_url: str) -> Iterator[Engine]:
    """A connection that bypasses the code."""
    engine = create_engine(fresh_database_url.replace("postgresql://", "postgresql+psycopg2://", 1))
    yield engine
    engine.dispose()


def run(admin: Engine, statement: str) -> None:
    with admin.begin() as connection:
        connection.execute(text(statement))


def test_a_payment_that_the_ledger_does_not_know_is_found(fresh: Pagos, admin: Engine) -> None:
    saga, sound = Saga(), Saga()
    fresh.charge(saga)
    fresh.charge(sound)
    run(admin, f"DELETE FROM pagos.ledger_transfers WHERE payment_id = '{saga.payment_id}'")
    audit = fresh.audit()
    assert audit["broken_payments"] == [str(saga.payment_id)]
    assert audit["sagas_of_broken_payments"] == [str(saga.saga_id)]


@pytest.mark.parametrize(
    "change",
    [
        "amount_minor = amount_minor + 1",
        "currency = 'USD'",
        "credit_account = 'cash'",
        "debit_account = 'revenue', credit_account = 'cash'",
    ],
)
def test_a_payment_booked_otherwise_is_found(fresh: Pagos, admin: Engine, change: str) -> None:
    saga = Saga()
    fresh.charge(saga)
    run(admin, f"UPDATE pagos.ledger_transfers SET {change}")
    assert fresh.audit()["broken_payments"] == [str(saga.payment_id)]


def test_a_refund_that_was_not_booked_is_found(fresh: Pagos, admin: Engine) -> None:
    saga = Saga()
    fresh.charge(saga)
    fresh.refund(saga)
    run(admin, "DELETE FROM pagos.ledger_transfers WHERE kind = 'refund'")
    assert fresh.audit()["broken_payments"] == [str(saga.payment_id)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pagos.wallets SET balance_minor = balance_minor + 1",
        "DELETE FROM pagos.wallets",
        "DELETE FROM pagos.ledger_transfers",
        "UPDATE pagos.wallets SET currency = 'USD'",
    ],
)
def test_a_wallet_that_is_not_what_the_ledger_says_is_found(fresh: Pagos, admin: Engine, statement: str) -> None:
    user = new_user()
    fresh.deposit(user, 10)
    run(admin, statement)
    audit = fresh.audit()
    assert set(audit["broken_wallets"]) == {f"wallet:{user}"}
    assert any(sums["balance_minor"] != sums["ledger_minor"] for sums in audit["wallets"].values())


def test_money_kept_after_its_compensation_is_found(fresh: Pagos, admin: Engine) -> None:
    saga = Saga()
    fresh.charge(saga)
    run(
        admin,
        "INSERT INTO pagos.barrier (saga_id, step, direction)"
        f" VALUES ('{saga.saga_id}', 'process_payment', 'compensation')",
    )
    [fact] = fresh.facts(saga.saga_id)
    assert (fact["undone"], fact["captured"]) == (True, 1)


def test_a_saga_that_paid_twice_is_found(fresh: Pagos, admin: Engine) -> None:
    saga, other = Saga(), Saga()
    fresh.charge(saga)
    fresh.charge(other)
    run(admin, "ALTER TABLE pagos.payments DROP CONSTRAINT uq_payments_saga_id")
    run(admin, f"UPDATE pagos.payments SET saga_id = '{saga.saga_id}'")
    [fact] = fresh.facts(saga.saga_id)
    assert fact["payments"] == 2


# What the constraints refuse.


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pagos.payments SET refunded_minor = 1",
        "UPDATE pagos.payments SET refunded_minor = -1",
        "UPDATE pagos.payments SET status = 'refunded', refunded_minor = amount_minor + 1",
        "UPDATE pagos.payments SET status = 'refunded'",
        "UPDATE pagos.payments SET status = 'declined'",
        "UPDATE pagos.payments SET status = 'lost'",
        "UPDATE pagos.payments SET amount_minor = 0",
        "UPDATE pagos.payments SET saga_id = NULL",
        "UPDATE pagos.payments SET user_id = NULL",
        "UPDATE pagos.payments SET merchant_id = 'm', order_id = 'o'",
        "UPDATE pagos.payments SET id = gen_random_uuid()",
        "UPDATE pagos.wallets SET balance_minor = -1",
        "UPDATE pagos.ledger_transfers SET amount_minor = 0",
        "UPDATE pagos.ledger_transfers SET amount_minor = -amount_minor",
        "UPDATE pagos.ledger_transfers SET debit_account = credit_account",
        "UPDATE pagos.ledger_transfers SET debit_account = NULL",
        "UPDATE pagos.ledger_transfers SET kind = 'gift'",
        "UPDATE pagos.ledger_transfers SET payment_id = NULL",
        (
            "INSERT INTO pagos.ledger_transfers "
            "(payment_id, kind, debit_account, credit_account, amount_minor, currency)"
            " SELECT id, 'capture', 'cash', 'revenue', 1, 'EUR' FROM pagos.payments"
        ),
        (
            "INSERT INTO pagos.payments SELECT gen_random_uuid(), saga_id, cart_id, merchant_id, order_id, user_id,"
            " amount_minor, refunded_minor, currency, payment_method, status, reason, created_at FROM pagos.payments"
        ),
    ],
)
def test_the_schema_refuses_what_breaks_a_rule(fresh: Pagos, admin: Engine, statement: str) -> None:
    user = new_user()
    with fresh.transaction() as connection:
        connection.execute(text(f"INSERT INTO pagos.wallets VALUES ('{user}', 'EUR', 2000)"))
    assert fresh.charge(Saga(20, "wallet", user)).status_code == 201
    with pytest.raises(IntegrityError):
        run(admin, statement)


# The ledger lines of a saga.


def lines_of(pagos: Pagos, saga: Saga) -> list[tuple[str, str, str, str]]:
    items = pagos.get(f"/api/v1/ledger/sagas/{saga.saga_id}").json["items"]  # type: ignore[index]
    assert {each["payment_id"] for each in items} <= {str(saga.payment_id)}
    return [(each["kind"], each["debit_account"], each["credit_account"], str(each["amount"])) for each in items]


def test_a_saga_s_lines_tell_what_was_booked_for_it_and_nothing_else(pagos: Pagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    kept, undone, declined = Saga("7.50"), Saga(20, "wallet", user), Saga(1, "declined_card")
    for saga in (kept, undone, declined):
        pagos.charge(saga)
    pagos.refund(undone)
    assert lines_of(pagos, kept) == [("capture", "clearing:credit_card", "revenue", "7.50")]
    wallet = f"wallet:{user}"
    assert lines_of(pagos, undone) == [("capture", wallet, "revenue", "20.00"), ("refund", "revenue", wallet, "20.00")]
    assert lines_of(pagos, declined) == lines_of(pagos, Saga()) == []
