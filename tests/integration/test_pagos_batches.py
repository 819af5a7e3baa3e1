"""Payments of many sagas in one request and one transaction: each has the outcome that it would have alone."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from structlog.testing import CapturingLogger

from pagos import service
from pagos.domain import Method, OtherSaga, Refund
from shared.errors import DomainError
from shared.json_codec import dumps
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import body_of, problem_of, wait_for_blocked
from tests.integration.pagos_client import PAYMENTS, Pagos, Saga, domain_charge, new_user
from tests.integration.test_pagos_ledger import assert_balanced

ServiceClient = Callable[..., FlaskClient]


@pytest.fixture
def pagos(service_client: ServiceClient) -> Pagos:
    return Pagos(service_client("pagos"))


@pytest.fixture
def fresh(service_client: ServiceClient, fresh_database_url: str) -> Pagos:
    """pagos on a database of its own, since the audit reads totals."""
    return Pagos(service_client("pagos", database_url=fresh_database_url))


@pytest.fixture(autouse=True)
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when a batch is repeated one by one, since that would hide a wrong batch."""
    log = CapturingLogger()
    monkeypatch.setattr("shared.saga.command_batch.log", log)
    yield
    failed = [call for call in log.calls if "failed together" in call.args[0]]
    assert bool(failed) == ("poison" in request.fixturenames)


def charge(pagos: Pagos, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return pagos.many(*[(PAYMENTS, saga.charge) for saga in sagas])


def refund(pagos: Pagos, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return pagos.many(*[(saga.refund_path, {"saga_id": saga.saga_id}) for saga in sagas])


def statuses(outcomes: Sequence[dict[str, Any]]) -> list[int]:
    return [outcome["status"] for outcome in outcomes]


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
    assert statuses(outcomes) == [200, 409, 409]
    assert [pagos.payments_of(each)[0]["status"] for each in (good, owner, misnamed)] == [
        "refunded",
        "captured",
        "captured",
    ]
    assert statuses(charge(pagos, [mistaken])) == [201]
    assert [each["body"]["status"] for each in refund(pagos, [owner, misnamed])] == ["refunded", "refunded"]


def test_who_left_a_payments_id_to_pagos_is_not_given_back_anothers_money(pagos: Pagos) -> None:
    owner, unnamed = Saga(), Saga()
    del unnamed.charge["payment_id"]
    charge(pagos, [owner, unnamed])
    with pagos.transaction() as connection:
        (refused,) = service.refund(connection, [Refund(unnamed.saga_id, owner.payment_id)])
    assert isinstance(refused, OtherSaga)
    assert [pagos.payments_of(each)[0]["status"] for each in (owner, unnamed)] == ["captured", "captured"]


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


SAGAS, USERS = 4, 2
CHANGES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(lambda number: {"payment_of": number}, st.integers(0, SAGAS - 1)),
    st.sampled_from([{"amount": 7}, {"user": 1}, {"payment_method": "paypal"}, {"amount": -1}]),
)
CHARGES = st.tuples(st.just("charge"), st.lists(st.tuples(st.integers(0, SAGAS - 1), CHANGES), min_size=1, max_size=6))
NAMES = st.tuples(st.integers(0, SAGAS - 1), st.integers(0, SAGAS - 1), st.booleans(), st.booleans())
REFUNDS = st.tuples(st.just("refund"), st.lists(NAMES, min_size=1, max_size=6))
FIRST = st.lists(st.integers(0, SAGAS - 1), min_size=2, max_size=SAGAS, unique=True)  # else most are compensated before
METHODS = [*[Method.WALLET] * len(Method), *sorted(Method)]  # half of them draw on wallets, which run short
WANTS = st.lists(
    st.tuples(st.integers(1, 30), st.sampled_from(METHODS), st.integers(0, USERS - 1)),
    min_size=SAGAS,
    max_size=SAGAS,
)


class World:
    """Sagas and users of its own; the answers about them are the same in every world."""

    def __init__(self, pagos: Pagos, wants: Sequence[tuple[int, str, int]]) -> None:
        self._pagos = pagos
        self._users = [new_user() for _ in range(USERS)]
        self._sagas = [Saga(amount, method, self._users[user]) for amount, method, user in wants]
        self._names = {user: f"user {number}" for number, user in enumerate(self._users)}
        for number, saga in enumerate(self._sagas):
            for kind in ("saga_id", "cart_id", "payment_id"):
                self._names[str(getattr(saga, kind))] = f"{kind} {number}"
        for user in self._users:
            pagos.deposit(user, 40)

    def commands(self, kind: str, batch: Sequence[Any]) -> list[tuple[str, dict[str, Any]]]:
        return [self._charge(*each) if kind == "charge" else self._refund(*each) for each in batch]

    def one_by_one(self, commands: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        answers = [self._pagos.post(path, body) for path, body in commands]
        return [self._read({"status": each.status_code, "body": each.json}) for each in answers]

    def together(self, commands: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        return [self._read(outcome) for outcome in self._pagos.many(*commands)]

    def books(self) -> tuple[list[Decimal], list[str]]:
        payments = [self._read({"body": payment}) for saga in self._sagas for payment in self._pagos.payments_of(saga)]
        return [self._pagos.balance(user) for user in self._users], sorted(payments)

    def _charge(self, number: int, change: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {**self._sagas[number].charge, **change}
        if "payment_of" in change:
            body["payment_id"] = self._sagas[body.pop("payment_of")].payment_id
        if "user" in change:
            body["user_id"] = self._users[body.pop("user")]
        return PAYMENTS, body

    def _refund(self, number: int, payment: int, own: bool, named: bool) -> tuple[str, dict[str, Any]]:
        saga = self._sagas[number]
        path = (saga if own else self._sagas[payment]).refund_path
        return path, {"saga_id": saga.saga_id} if named else {}

    def _read(self, outcome: dict[str, Any]) -> str:
        told = {**outcome, "body": {**outcome["body"], "created_at": None}}
        words = dumps(told)
        for name, label in self._names.items():
            words = words.replace(name, label)
        return words


@given(first=FIRST, batches=st.lists(st.one_of(CHARGES, REFUNDS), min_size=1, max_size=5), wants=WANTS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_end_as_if_their_commands_had_come_one_by_one(
    pagos: Pagos, first: list[int], batches: list[tuple[str, list[Any]]], wants: list[tuple[int, str, int]]
) -> None:
    alone, together = World(pagos, wants), World(pagos, wants)
    charged: tuple[str, list[Any]] = ("charge", [(number, {}) for number in first])
    for kind, batch in [charged, *batches]:
        expected = alone.one_by_one(alone.commands(kind, batch))
        assert together.together(together.commands(kind, batch)) == expected
    assert together.books() == alone.books()


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
    assert taken == {"charge": 2, "charge repeated": 3, "decline": 3, "refund": 7, "refund of nothing": 5}


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
