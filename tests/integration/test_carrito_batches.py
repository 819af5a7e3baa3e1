"""Orders of many sagas in one request and one transaction: each has the outcome that it would have alone."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from structlog.testing import CapturingLogger

from carrito import carts, service
from carrito.order_domain import OrderOfSaga, OrderRequest
from shared.errors import DomainError
from shared.ids import new_id
from shared.json_codec import dumps
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import body_of, problem_of, wait_for_blocked
from tests.integration.carrito_client import USER, Carrito, Saga

ServiceClient = Callable[..., FlaskClient]
Commands = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def carrito(service_client: ServiceClient) -> Carrito:
    return Carrito(service_client("carrito"))


@pytest.fixture
def fresh(service_client: ServiceClient, fresh_database_url: str) -> Carrito:
    """carrito on a database of its own."""
    return Carrito(service_client("carrito", database_url=fresh_database_url))


@pytest.fixture(autouse=True)
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when a batch is repeated one by one, since that would hide a wrong batch."""
    log = CapturingLogger()
    monkeypatch.setattr("shared.saga.command_batch.log", log)
    yield
    failed = [call for call in log.calls if "failed together" in call.args[0]]
    assert bool(failed) == ("poison" in request.fixturenames)


def begun(carrito: Carrito, count: int) -> list[Saga]:
    return [carrito.saga_of(carrito.open_cart((1, 1), (2, number % 5 + 1))) for number in range(count)]


def order(carrito: Carrito, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return carrito.many(*[("/orders", saga.order_body) for saga in sagas])


def step(carrito: Carrito, what: str, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return carrito.many(*[(saga.path(what), {"saga_id": saga.saga_id}) for saga in sagas])


def statuses(outcomes: Sequence[dict[str, Any]]) -> list[int]:
    return [outcome["status"] for outcome in outcomes]


def kinds(outcomes: Sequence[dict[str, Any]]) -> list[str]:
    return [each["body"].get("type", each["body"]["status"]).removeprefix("/problems/") for each in outcomes]


# Each has the outcome that it would have alone.


def test_a_command_of_many_has_the_answer_of_its_own_endpoint(carrito: Carrito) -> None:
    [saga] = begun(carrito, 1)
    [ordered] = order(carrito, [saga])
    assert ordered == {"status": 201, "body": carrito.order(saga).json}
    for what, alone in (("confirm", carrito.confirm), ("cancel", carrito.cancel), ("release", carrito.release)):
        [outcome] = step(carrito, what, [saga])
        assert outcome == {"status": 200, "body": alone(saga).json}


def test_every_order_of_many_has_its_own_carts_lines_and_total(carrito: Carrito) -> None:
    sagas = begun(carrito, 3)
    bodies = [outcome["body"] for outcome in order(carrito, sagas)]
    assert [body["total"] for body in bodies] == [Decimal("7.50"), Decimal("12.50"), Decimal("17.50")]
    assert [[item["quantity"] for item in body["items"]] for body in bodies] == [[1, 1], [1, 2], [1, 3]]
    assert bodies[0]["items"][1] == {
        "product_id": 2,
        "name": "product 2",
        "quantity": 1,
        "unit_price": Decimal("5.00"),
    }


def test_an_order_without_an_address_is_billed_where_the_checkout_said(carrito: Carrito) -> None:
    named, unnamed = begun(carrito, 2)
    outcomes = carrito.many(
        ("/orders", {**named.order_body, "billing_address": "here"}), ("/orders", unnamed.order_body)
    )
    assert [each["body"]["billing_address"] for each in outcomes] == ["here", "here"]


def test_new_repeated_cancelled_and_refused_orders_may_come_together(carrito: Carrito) -> None:
    new, repeated, cancelled = begun(carrito, 3)
    taker = Saga(carrito.open_cart((1, 1)), new_id())
    other, unknown, foreign, empty = (
        Saga(cart_id, new_id()) for cart_id in (new.cart_id, new_id(), new_id(), new_id())
    )
    foreign.cart_id, empty.cart_id = carrito.open_cart((1, 1), user_id="eve"), carrito.open_cart()
    first = body_of(carrito.order(repeated))
    carrito.cancel(cancelled)
    taker.order_id = repeated.order_id
    outcomes = order(carrito, [other, repeated, empty, cancelled, foreign, new, taker, unknown])
    assert kinds(outcomes) == [
        "cart-not-open",
        "pending",
        "cart-empty",
        "suspended",
        "cart-not-found",
        "pending",
        "order-of-another-saga",
        "cart-not-found",
    ]
    assert outcomes[1]["body"] == first
    assert outcomes[0]["body"]["saga_id"] == str(new.saga_id)
    assert [carrito.cart(each.cart_id)["status"] for each in (empty, taker)] == ["open", "open"]
    again = order(carrito, [taker, unknown, other, empty, foreign])
    assert again == [outcomes[number] for number in (6, 7, 0, 2, 4)]


@pytest.mark.parametrize("frozen", [True, False])
def test_nobody_orders_another_users_cart(carrito: Carrito, frozen: bool) -> None:
    cart_id = carrito.open_cart((1, 1))
    saga = carrito.saga_of(cart_id) if frozen else Saga(cart_id, new_id())
    [beside] = begun(carrito, 1)
    outcomes = carrito.many(("/orders", {**saga.order_body, "user_id": "eve"}), ("/orders", beside.order_body))
    assert kinds(outcomes) == ["cart-not-found", "pending"]


def test_of_two_sagas_that_want_an_open_cart_the_first_has_it(carrito: Carrito) -> None:
    cart_id, beside = carrito.open_cart((1, 1)), carrito.open_cart((2, 1))
    first, second, third = Saga(cart_id, new_id()), Saga(cart_id, new_id()), Saga(beside, new_id())
    outcomes = order(carrito, [first, second, third])
    assert kinds(outcomes) == ["pending", "cart-not-open", "pending"]
    assert outcomes[1]["body"]["saga_id"] == str(first.saga_id)
    assert carrito.cart(cart_id)["saga_id"] == str(first.saga_id)


def test_of_two_that_want_one_order_id_the_first_has_it(carrito: Carrito) -> None:
    first, second = (Saga(carrito.open_cart((1, 1)), new_id()) for _ in range(2))
    [third] = begun(carrito, 1)
    second.order_id = first.order_id
    assert kinds(order(carrito, [first, second, third])) == ["pending", "order-of-another-saga", "pending"]


def test_an_order_of_an_open_cart_that_is_just_being_changed_has_what_is_in_it_then(carrito: Carrito) -> None:
    saga, changed = Saga(carrito.open_cart((1, 1)), new_id()), threading.Semaphore(0)

    def change() -> list[int]:
        with carrito.transaction() as connection:
            carts.remove_item(connection, saga.cart_id, 1)
            changed.release()
            wait_for_blocked(connection)
        return []

    def place() -> list[int]:
        assert changed.acquire(timeout=30)
        return statuses(order(carrito, [saga, *begun(carrito, 1)]))

    assert concurrently(change, place) == [[], [409, 201]]
    assert carrito.cart(saga.cart_id)["status"] == "open"


def test_pending_confirmed_cancelled_foreign_and_unknown_orders_are_confirmed_together(carrito: Carrito) -> None:
    pending, confirmed, cancelled, foreign = begun(carrito, 4)
    order(carrito, [pending, confirmed, cancelled, foreign])
    carrito.confirm(confirmed)
    carrito.cancel(cancelled)
    stranger, unknown = new_id(), new_id()
    outcomes = carrito.many(
        (f"/orders/{unknown}/confirm", {"saga_id": pending.saga_id}),
        (cancelled.path("confirm"), {"saga_id": cancelled.saga_id}),
        (foreign.path("confirm"), {"saga_id": stranger}),
        (pending.path("confirm"), {}),
        (confirmed.path("confirm"), {"saga_id": confirmed.saga_id}),
        (f"/orders/{unknown}/confirm", {}),
    )
    assert kinds(outcomes) == [
        "order-not-found",
        "order-already-cancelled",
        "order-of-another-saga",
        "confirmed",
        "confirmed",
        "order-not-found",
    ]
    assert [carrito.cart(each.cart_id)["status"] for each in (pending, confirmed, cancelled, foreign)] == [
        "checked_out",
        "checked_out",
        "checking_out",
        "checking_out",
    ]


def test_orders_that_stand_never_came_or_are_anothers_are_cancelled_together(carrito: Carrito) -> None:
    pending, confirmed, cancelled, never, owner, mistaken = begun(carrito, 6)
    order(carrito, [pending, confirmed, cancelled, owner])
    carrito.confirm(confirmed)
    carrito.cancel(cancelled)
    outcomes = carrito.many(
        (never.path("cancel"), {"saga_id": never.saga_id}),
        (pending.path("cancel"), {}),
        (owner.path("cancel"), {"saga_id": mistaken.saga_id}),
        (cancelled.path("cancel"), {"saga_id": cancelled.saga_id}),
        (f"/orders/{new_id()}/cancel", {"saga_id": owner.saga_id}),
        (confirmed.path("cancel"), {"saga_id": confirmed.saga_id}),
    )
    otherwise = "repeated-otherwise"
    assert kinds(outcomes) == ["void", "cancelled", otherwise, "cancelled", otherwise, "cancelled"]
    assert kinds(order(carrito, [never, mistaken])) == ["suspended", "pending"], "a mistake leaves no trace"
    assert kinds(step(carrito, "cancel", [owner])) == ["cancelled"]


def test_carts_are_released_together_each_for_its_own_saga_only(carrito: Carrito) -> None:
    undone, again, stands, gone = begun(carrito, 4)
    carrito.order(stands)
    carrito.release(gone)
    late = Saga(again.cart_id, new_id())
    unknown = Saga(new_id(), new_id())
    outcomes = step(carrito, "release", [stands, undone, unknown, late, gone])
    assert kinds(outcomes) == ["order-stands", "open", "cart-not-found", "cart-of-another-saga", "open"]
    assert [len(each["body"]["items"]) for each in outcomes if each["status"] == 200] == [2, 2]
    assert carrito.cart(again.cart_id)["saga_id"] == str(again.saga_id)
    assert carrito.cart(stands.cart_id)["status"] == "checking_out"


def test_a_step_says_of_each_saga_whether_it_was_new(carrito: Carrito) -> None:
    """Callers publish an event only for new ones. A saga's id is enough to find its order."""
    before, new = begun(carrito, 2)
    never = new_id()

    def firsts(found: Sequence[Done[Any] | DomainError]) -> list[bool]:
        return [not isinstance(each, DomainError) and each.first for each in found]

    with carrito.transaction() as connection:
        requests = [OrderRequest(each.saga_id, each.cart_id, each.order_id, None, None, None) for each in (before, new)]
        commands = [OrderOfSaga(each.saga_id) for each in (before, new)]
        assert firsts(service.create_order(connection, requests[:1], "EUR")) == [True]
        assert firsts(service.create_order(connection, requests, "EUR")) == [False, True]
        assert firsts(service.confirm_order(connection, commands[:1])) == [True]
        assert firsts(service.confirm_order(connection, commands)) == [False, True]
        assert firsts(service.cancel_order(connection, commands[:1])) == [True]
        assert firsts(service.cancel_order(connection, [*commands, OrderOfSaga(never)])) == [False, True, True]
        assert firsts(service.cancel_order(connection, [OrderOfSaga(never)])) == [False]
        assert firsts(service.confirm_order(connection, commands)) == [False, False]


SAGAS = 4  # the last two have the same cart, which is open
CHANGES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(lambda number: {"order_of": number}, st.integers(0, SAGAS - 1)),
    st.sampled_from([{"user_id": "eve"}, {"cart_id": UUID(int=7)}, {"quantity": 1}]),
)
NUMBER = st.integers(0, SAGAS - 1)
ORDERS = st.tuples(st.just("orders"), st.lists(st.tuples(NUMBER, CHANGES), min_size=1, max_size=6))
OTHERS = st.tuples(
    st.sampled_from(["confirm", "cancel", "release"]),
    st.lists(st.tuples(NUMBER, NUMBER, st.booleans(), st.booleans()), min_size=1, max_size=6),
)


class World:
    """Sagas and carts of its own; the answers about them are the same in every world."""

    def __init__(self, carrito: Carrito) -> None:
        self._carrito = carrito
        shared = carrito.open_cart((3, 1))
        self._sagas = [*begun(carrito, SAGAS - 2), Saga(shared, new_id()), Saga(shared, new_id())]
        self._names = {
            str(getattr(saga, kind)): f"{kind} {number}"
            for number, saga in enumerate(self._sagas)
            for kind in ("saga_id", "cart_id", "order_id")
        }

    def commands(self, kind: str, batch: Sequence[Any]) -> Commands:
        return [self._order(*each) if kind == "orders" else self._step(kind, *each) for each in batch]

    def one_by_one(self, commands: Commands) -> list[str]:
        answers = [self._carrito.post(path, body) for path, body in commands]
        return [self._read({"status": each.status_code, "body": each.json}) for each in answers]

    def together(self, commands: Commands) -> list[str]:
        return [self._read(outcome) for outcome in self._carrito.many(*commands)]

    def books(self) -> list[str]:
        made = [body_of(self._carrito.get(f"/orders/saga/{saga.cart_id}"))["items"] for saga in self._sagas]
        kept = [self._carrito.cart(saga.cart_id) for saga in self._sagas]
        return sorted(self._read({"body": each}) for each in [*kept, *(one for found in made for one in found)])

    def _order(self, number: int, change: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {**self._sagas[number].order_body, **change}
        if "order_of" in change:
            # In a batch, sagas without a checkout come last: one that takes another order's id would come too late.
            by_hand = SAGAS - 2
            other = body.pop("order_of")
            body["order_id"] = self._sagas[max(other, by_hand) if number >= by_hand else other].order_id
        return "/orders", body

    def _step(self, what: str, number: int, other: int, own: bool, named: bool) -> tuple[str, dict[str, Any]]:
        saga = self._sagas[number]
        path = (saga if own else self._sagas[other]).path(what)
        return path, {"saga_id": saga.saga_id} if named or what == "release" else {}

    def _read(self, outcome: dict[str, Any]) -> str:
        words = dumps({**outcome, "body": {**outcome["body"], "created_at": None, "payment_id": None}})
        for name, label in self._names.items():
            words = words.replace(name, label)
        return words


@given(batches=st.lists(st.one_of(ORDERS, OTHERS), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_end_as_if_their_commands_had_come_one_by_one(
    carrito: Carrito, batches: list[tuple[str, list[Any]]]
) -> None:
    alone, together = World(carrito), World(carrito)
    for kind, batch in batches:
        expected = alone.one_by_one(alone.commands(kind, batch))
        assert together.together(together.commands(kind, batch)) == expected
    assert together.books() == alone.books()


# Failures.


@pytest.fixture
def poison(fresh_database_url: str) -> None:
    """Make the database fail for this product."""
    admin = create_engine(fresh_database_url)
    with admin.begin() as connection:
        connection.execute(text("ALTER TABLE carrito.orders ADD CHECK (items NOT LIKE '%product 3%')"))
    admin.dispose()


@pytest.mark.usefixtures("poison")
def test_a_command_at_which_the_database_fails_takes_no_other_with_it(fresh: Carrito) -> None:
    good, empty, bad, open_one = [
        *begun(fresh, 1),
        Saga(fresh.open_cart(), new_id()),
        fresh.saga_of(fresh.open_cart((3, 1))),
        Saga(fresh.open_cart((1, 1)), new_id()),
    ]
    assert statuses(order(fresh, [good, empty, bad, open_one])) == [201, 409, 500, 201]
    assert kinds(step(fresh, "cancel", [bad, good])) == ["void", "cancelled"]
    assert kinds(step(fresh, "release", [bad, good])) == ["open", "open"]


# Concurrency.


def test_a_release_waits_for_the_order_that_is_just_being_made_and_leaves_it_its_cart(carrito: Carrito) -> None:
    [saga], made = begun(carrito, 1), threading.Semaphore(0)

    def create() -> int:
        with carrito.transaction() as connection:
            service.create_order(
                connection, [OrderRequest(saga.saga_id, saga.cart_id, saga.order_id, USER, None, None)], "EUR"
            )
            made.release()
            wait_for_blocked(connection)
        return 0

    def release() -> int:
        assert made.acquire(timeout=30)
        return carrito.release(saga).status_code

    assert concurrently(create, release) == [0, 409]
    assert carrito.cart(saga.cart_id)["saga_id"] == str(saga.saga_id)


def test_batches_of_the_same_sagas_in_any_order_make_each_order_once(carrito: Carrito) -> None:
    for _ in range(4):
        sagas = [*begun(carrito, 4), *(Saga(carrito.open_cart((1, 1)), new_id()) for _ in range(4))]
        shuffled = [random.sample(sagas, k=len(sagas)) for _ in range(6)]
        answers = concurrently(*[partial(order, carrito, each) for each in shuffled])
        assert {status for outcomes in answers for status in statuses(outcomes)} == {201}
        answers = concurrently(*[partial(step, carrito, "confirm", each) for each in shuffled])
        assert {status for outcomes in answers for status in statuses(outcomes)} == {200}
        assert {carrito.cart(saga.cart_id)["status"] for saga in sagas} == {"checked_out"}


def test_batches_of_every_step_over_the_same_sagas_never_deadlock_and_agree_in_the_end(carrito: Carrito) -> None:
    for _ in range(4):
        sagas = begun(carrito, 8)
        order(carrito, sagas[:5])
        steps = [partial(step, carrito, what) for what in ("confirm", "cancel", "confirm", "release", "cancel")]
        batches = [partial(act, random.sample(sagas, k=8)) for act in steps]
        outcomes = [one for batch in concurrently(*batches, partial(order, carrito, sagas[::-1])) for one in batch]
        assert set(statuses(outcomes)) <= {200, 201, 404, 409}
        assert set(kinds(step(carrito, "cancel", sagas))) <= {"cancelled", "void"}
        assert kinds(step(carrito, "release", sagas)) == ["open"] * 8


def test_open_carts_that_sagas_want_in_batches_at_once_go_to_one_each(carrito: Carrito) -> None:
    cart_ids = [carrito.open_cart((1, 1)) for _ in range(6)]
    batches = [[Saga(cart_id, new_id()) for cart_id in random.sample(cart_ids, k=6)] for _ in range(5)]
    answers = concurrently(*[partial(order, carrito, sagas) for sagas in batches])
    outcomes = [outcome for answer in answers for outcome in answer]
    assert sorted(statuses(outcomes)) == [201] * 6 + [409] * 24
    for cart_id in cart_ids:
        [made] = body_of(carrito.get(f"/orders/saga/{cart_id}"))["items"]
        assert carrito.cart(cart_id)["saga_id"] == made["saga_id"]


# Cost.


def test_a_batch_takes_as_many_statements_as_one(carrito: Carrito) -> None:
    sagas = begun(carrito, 32)
    requests: dict[str, Callable[[], object]] = {
        "order": lambda: order(carrito, sagas),
        "order repeated": lambda: order(carrito, sagas),
        "confirm": lambda: step(carrito, "confirm", sagas),
        "confirm repeated": lambda: step(carrito, "confirm", sagas),
        "cancel": lambda: step(carrito, "cancel", sagas),
        "release": lambda: step(carrito, "release", sagas),
    }
    taken = {}
    for name, request in requests.items():
        with carrito.statements() as sent:
            request()
        taken[name] = len(sent)
    assert taken == {
        "order": 3,
        "order repeated": 4,
        "confirm": 1,
        "confirm repeated": 2,
        "cancel": 8,  # two transactions, between which the sagas' states are read
        "release": 6,
    }


def test_a_hundred_commands_fit_in_one_request(carrito: Carrito) -> None:
    cart_ids = [carrito.open_cart((1, 1)) for _ in range(100)]
    assert statuses(order(carrito, [Saga(cart_id, new_id()) for cart_id in cart_ids])) == [201] * 100


def test_commands_that_do_not_fit_are_told_so_beside_others(carrito: Carrito) -> None:
    [good] = begun(carrito, 1)
    outcomes = carrito.many(
        ("/orders", {"cart_id": "mine"}), ("/orders/7/cancel", {}), ("/carts", {}), ("/orders", good.order_body)
    )
    assert statuses(outcomes) == [422, 422, 404, 201]
    assert problem_of(carrito.post("/saga-commands", {"commands": []}))["status"] == 422
