"""Carts over HTTP on a real PostgreSQL: their contents, and which saga has them."""

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from carrito import service
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of, outcome, problem_of, wait_for_blocked
from tests.integration.carrito_client import USER, Carrito


@pytest.fixture
def carrito(service_client: Callable[..., FlaskClient]) -> Carrito:
    return Carrito(service_client("carrito"))


def test_a_new_cart_is_open_and_empty(carrito: Carrito) -> None:
    cart_id = carrito.open_cart()
    assert carrito.cart(cart_id) == {
        "id": str(cart_id),
        "user_id": USER,
        "status": "open",
        "saga_id": None,
        "items": [],
        "total": Decimal("0.00"),
    }
    assert str(cart_id)[14] == "7"  # a UUIDv7


def test_a_line_has_inventarios_name_and_price_and_the_total_is_exact(carrito: Carrito) -> None:
    cart = carrito.cart(carrito.open_cart((2, 3), (1, 1)))
    assert cart["items"][1] == {
        "product_id": 2,
        "name": "product 2",
        "quantity": 3,
        "unit_price": Decimal("5.00"),
        "subtotal": Decimal("15.00"),
    }
    assert cart["total"] == Decimal("17.50")


def test_a_product_id_may_be_a_string(carrito: Carrito) -> None:
    cart_id = carrito.open_cart()
    assert carrito.put(cart_id, "1", 2).status_code == 201
    assert carrito.delete(f"/carts/{cart_id}/items/1").status_code == 200


def test_more_of_a_product_is_added_to_its_line(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 2), (1, 3))
    assert [item["quantity"] for item in carrito.cart(cart_id)["items"]] == [5]


def test_a_line_asks_for_no_more_than_there_is_in_all(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 8))
    problem = problem_of(carrito.put(cart_id, 1, 3))
    assert (problem["status"], problem["wanted"], problem["available"]) == (409, 11, 10)
    assert [item["quantity"] for item in carrito.cart(cart_id)["items"]] == [8]


def test_a_product_that_there_is_not_is_not_put_in(carrito: Carrito) -> None:
    assert problem_of(carrito.put(carrito.open_cart(), 4, 1))["status"] == 404


def test_a_product_can_be_taken_out_once(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1), (2, 1))
    response = carrito.delete(f"/carts/{cart_id}/items/1")
    assert [item["product_id"] for item in body_of(response)["items"]] == [2]
    assert problem_of(carrito.delete(f"/carts/{cart_id}/items/1"))["status"] == 404


def test_puts_at_the_same_moment_are_all_counted(carrito: Carrito) -> None:
    cart_id = carrito.open_cart()
    answers = concurrently(*[partial(carrito.put, cart_id, 1, 1)] * 12)
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 2
    assert [item["quantity"] for item in carrito.cart(cart_id)["items"]] == [10]


def test_a_repeated_put_under_a_key_counts_once(carrito: Carrito) -> None:
    cart_id, key = carrito.open_cart(), str(new_id())
    answers = [carrito.put(cart_id, 1, 1, key) for _ in range(3)]
    assert len({outcome(answer) for answer in answers}) == 1
    assert [item["quantity"] for item in carrito.cart(cart_id)["items"]] == [1]
    assert problem_of(carrito.put(cart_id, 1, 2, key))["status"] == 422


@pytest.mark.parametrize("path", ["/carts/{}", "/carts/{}/items/1"])
def test_an_unknown_cart_is_not_found(carrito: Carrito, path: str) -> None:
    unknown = path.format(new_id())
    response = carrito.delete(unknown) if "items" in unknown else carrito.get(unknown)
    assert problem_of(response)["status"] == 404


def test_a_checkout_freezes_the_cart_and_names_its_saga(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    saga = carrito.saga_of(cart_id)
    for answer in (carrito.put(cart_id, 1, 1), carrito.delete(f"/carts/{cart_id}/items/1"), carrito.begin(cart_id)):
        problem = problem_of(answer)
        assert (problem["status"], problem["saga_id"]) == (409, str(saga.saga_id))
    assert carrito.cart(cart_id)["status"] == "checking_out"


def test_of_many_checkouts_at_once_one_gets_the_cart(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    answers = concurrently(*[partial(carrito.begin, cart_id)] * 20)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    named = {body_of(answer)["saga_id"] for answer in answers}
    assert named == {carrito.cart(cart_id)["saga_id"]}


def test_a_put_at_the_moment_of_the_checkout_is_in_the_frozen_cart_or_refused(carrito: Carrito) -> None:
    for _ in range(20):
        cart_id = carrito.open_cart((1, 1))
        put, begun = concurrently(partial(carrito.put, cart_id, 1, 1), partial(carrito.begin, cart_id))
        frozen = body_of(begun)["items"][0]["quantity"]
        assert (put.status_code, frozen) in {(201, 2), (409, 1)}
        assert carrito.cart(cart_id)["items"][0]["quantity"] == frozen


def test_an_empty_cart_cannot_be_checked_out(carrito: Carrito) -> None:
    cart_id = carrito.open_cart()
    assert problem_of(carrito.begin(cart_id))["type"] == "/problems/cart-empty"
    assert carrito.cart(cart_id)["status"] == "open"


def test_a_cart_that_is_emptied_at_the_moment_of_its_checkout_is_not_frozen(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    gone_first = threading.Semaphore(0)

    def empty() -> None:
        with carrito.transaction() as connection:
            service.remove_item(connection, cart_id, 1)
            gone_first.release()
            wait_for_blocked(connection)

    def begin() -> int:
        assert gone_first.acquire(timeout=30)
        return carrito.begin(cart_id).status_code

    assert concurrently(empty, begin) == [None, 409]
    assert carrito.cart(cart_id)["status"] == "open"


def test_another_users_cart_does_not_exist_for_a_checkout(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    assert problem_of(carrito.begin(cart_id, user_id="eve"))["status"] == 404
    assert carrito.cart(cart_id)["status"] == "open"


def test_a_checkout_repeated_under_a_key_is_the_same_saga(carrito: Carrito) -> None:
    cart_id, key = carrito.open_cart((1, 1)), str(new_id())
    answers = [carrito.begin(cart_id, key=key) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({outcome(answer) for answer in answers}) == 1


def test_a_release_opens_the_cart_for_another_saga(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    first = carrito.saga_of(cart_id)
    assert body_of(carrito.release(first))["cart"]["status"] == "open"
    second = carrito.saga_of(cart_id)
    assert second.saga_id != first.saga_id


def test_a_late_release_does_not_take_the_cart_from_the_next_saga(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    first = carrito.saga_of(cart_id)
    carrito.release(first)
    second = carrito.saga_of(cart_id)
    released = body_of(carrito.release(first))
    assert (released["saga_id"], released["cart"]["saga_id"]) == (str(first.saga_id), str(second.saga_id))


def test_a_release_of_a_cart_that_its_saga_never_had_is_refused_and_leaves_no_trace(carrito: Carrito) -> None:
    mine, others = (carrito.saga_of(carrito.open_cart((1, 1))) for _ in range(2))
    refused = problem_of(carrito.post(f"/carts/{others.cart_id}/release", {"saga_id": mine.saga_id}))
    assert (refused["status"], refused["field"]) == (409, "cart_id")
    assert [carrito.order(saga).status_code for saga in (mine, others)] == [201, 201]


def test_a_cart_is_not_released_from_under_an_order_that_stands(carrito: Carrito) -> None:
    saga = carrito.saga_of(carrito.open_cart((1, 1)))
    carrito.order(saga)
    assert problem_of(carrito.release(saga))["status"] == 409
    carrito.cancel(saga)
    assert carrito.release(saga).status_code == 200


BAD_ITEMS: list[dict[str, Any]] = [
    {},
    {"product_id": 1},
    {"product_id": 1, "quantity": 0},
    {"product_id": 1, "quantity": -1},
    {"product_id": 1, "quantity": 1_000_001},
    {"product_id": 1, "quantity": 10**30},
    {"product_id": 1, "quantity": "1"},
    {"product_id": 1, "quantity": Decimal("1.5")},
    {"product_id": 1, "quantity": Decimal("1.1")},
    {"product_id": 1, "quantity": True},
    {"product_id": 1, "quantity": None},
    {"product_id": 0, "quantity": 1},
    {"product_id": -1, "quantity": 1},
    {"product_id": 2**31, "quantity": 1},
    {"product_id": "one", "quantity": 1},
    {"product_id": "01", "quantity": 1},
    {"product_id": True, "quantity": 1},
    {"product_id": [1], "quantity": 1},
    {"product_id": 1, "quantity": 1, "price": 0},
]


@pytest.mark.parametrize("item", BAD_ITEMS, ids=str)
def test_an_item_that_does_not_fit_is_named_and_not_put_in(carrito: Carrito, item: dict[str, Any]) -> None:
    cart_id = carrito.open_cart()
    problem = problem_of(carrito.post(f"/carts/{cart_id}/items", item))
    assert problem["status"] == 422
    assert {error["field"] for error in problem["errors"]} <= {"product_id", "quantity", "price"}
    assert carrito.cart(cart_id)["items"] == []


GOOD_CHECKOUT = {"user_id": USER, "payment_method": "paypal", "billing_address": "here"}
BAD_CHECKOUTS: list[tuple[str, dict[str, Any]]] = [
    ("cart_id", {"cart_id": "not-an-id"}),
    ("cart_id", {"cart_id": 7}),
    ("user_id", {"user_id": ""}),
    ("user_id", {"user_id": "a\nb"}),
    ("payment_method", {"payment_method": "gold"}),
    ("billing_address", {"billing_address": ""}),
    ("billing_address", {"billing_address": "a\x00b"}),
    ("billing_address", {"billing_address": {}}),
    ("billing_address", {"billing_address": {"street": 7}}),
    ("billing_address", {"billing_address": "x" * 201}),
    ("saga_pattern", {"saga_pattern": "telepathic"}),
    ("total", {"total": 1}),
]


@pytest.mark.parametrize(("name", "change"), BAD_CHECKOUTS, ids=str)
def test_a_checkout_that_does_not_fit_is_named_and_nothing_begins(
    carrito: Carrito, name: str, change: dict[str, Any]
) -> None:
    cart_id = carrito.open_cart((1, 1))
    problem = problem_of(carrito.post("/checkout/saga", {"cart_id": cart_id, **GOOD_CHECKOUT, **change}))
    assert problem["status"] == 422
    assert name in {error["field"].split(".")[0] for error in problem["errors"]}
    assert carrito.cart(cart_id)["status"] == "open"


def test_a_choreographed_checkout_is_not_available_yet_and_begins_nothing(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    checkout_body = {**GOOD_CHECKOUT, "saga_pattern": "choreographed"}
    assert problem_of(carrito.post("/checkout/saga", {"cart_id": cart_id, **checkout_body}))["status"] == 501
    assert problem_of(carrito.post(f"/carts/{cart_id}/checkout", checkout_body))["status"] == 501
    assert carrito.cart(cart_id)["status"] == "open"
