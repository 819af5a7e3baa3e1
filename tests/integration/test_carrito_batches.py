"""Orders of many sagas in one request and one transaction: each has the outcome that it would have alone."""

import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient

from carrito import service
from carrito.domain import OrderOfSaga, OrderRequest
from shared.errors import DomainError
from shared.ids import new_id
from shared.saga.barrier import Done
from shared.testing import concurrently
from tests.integration.api_client import body_of, kinds, problem_of, statuses, wait_for_blocked
from tests.integration.carrito_client import Carrito, Saga, begun, order, step

ServiceClient = Callable[..., FlaskClient]
pytestmark = pytest.mark.usefixtures("together")


@pytest.fixture
def carrito(service_client: ServiceClient) -> Carrito:
    return Carrito(service_client("carrito"))


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
            service.remove_item(connection, saga.cart_id, 1)
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
    assert [len(each["body"]["cart"]["items"]) for each in outcomes if each["status"] == 200] == [2, 2]
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
