"""Orders over HTTP on a real PostgreSQL: the barrier at their creation and its compensation."""

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from flask.testing import FlaskClient

from carrito import service
from carrito.domain import OrderRequest
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of, outcome, problem_of, wait_for_blocked
from tests.integration.carrito_client import USER, Carrito, Saga


@pytest.fixture
def carrito(service_client: Callable[..., FlaskClient]) -> Carrito:
    return Carrito(service_client("carrito"))


@pytest.fixture
def saga(carrito: Carrito) -> Saga:
    return carrito.saga_of(carrito.open_cart((1, 2), (3, 1)))


def test_an_order_has_the_carts_own_lines_and_total(carrito: Carrito, saga: Saga) -> None:
    order = body_of(carrito.order(saga))
    assert (order["status"], order["total"], order["user_id"]) == ("pending", Decimal("12.50"), USER)
    assert [(item["product_id"], item["quantity"]) for item in order["items"]] == [(1, 2), (3, 1)]
    assert order == body_of(carrito.get(f"/orders/{saga.order_id}"))
    assert body_of(carrito.get(f"/orders/saga/{saga.cart_id}"))["items"] == [order]


def test_a_client_cannot_name_its_price(carrito: Carrito, saga: Saga) -> None:
    problem = problem_of(carrito.order(saga, total=1))
    assert (problem["status"], problem["errors"][0]["field"]) == (422, "total")


def test_without_a_saga_the_carts_id_stands_for_it(carrito: Carrito) -> None:
    cart_id = carrito.open_cart((1, 1))
    order = body_of(carrito.post("/orders", {"cart_id": cart_id}))
    assert order["saga_id"] == str(cart_id)
    assert carrito.cart(cart_id)["saga_id"] == str(cart_id)


def test_a_repeated_order_is_the_same_one(carrito: Carrito, saga: Saga) -> None:
    assert outcome(carrito.order(saga)) == outcome(carrito.order(saga, order_id=None))
    assert len(body_of(carrito.get(f"/orders/saga/{saga.cart_id}"))["items"]) == 1


def test_orders_repeated_at_the_same_moment_are_the_same_one(carrito: Carrito, saga: Saga) -> None:
    answers = concurrently(*[partial(carrito.order, saga)] * 8)
    assert {outcome(answer) for answer in answers} == {outcome(carrito.order(saga))}


def test_a_cancelled_order_stays_cancelled(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    assert body_of(carrito.cancel(saga))["status"] == "cancelled"
    assert outcome(carrito.cancel(saga)) == outcome(carrito.cancel(saga))
    assert problem_of(carrito.confirm(saga))["status"] == 409
    assert problem_of(carrito.order(saga))["type"] == "/problems/suspended"


def test_a_cancellation_before_its_order_keeps_the_order_from_coming(carrito: Carrito, saga: Saga) -> None:
    void = {"id": str(saga.order_id), "saga_id": str(saga.saga_id), "status": "void"}
    assert body_of(carrito.cancel(saga)) == void
    assert problem_of(carrito.order(saga))["status"] == 409
    assert body_of(carrito.cancel(saga)) == void
    assert body_of(carrito.get(f"/orders/saga/{saga.cart_id}"))["items"] == []


def test_a_cancellation_of_an_order_that_is_just_being_made_waits_for_it(carrito: Carrito, saga: Saga) -> None:
    gone_first = threading.Semaphore(0)

    def create() -> None:
        with carrito.transaction() as connection:
            request = OrderRequest(saga.saga_id, saga.cart_id, saga.order_id, USER, None, None)
            service.create_order(connection, [request], "EUR")
            gone_first.release()
            wait_for_blocked(connection)

    def cancel() -> str:
        assert gone_first.acquire(timeout=30)
        return str(body_of(carrito.cancel(saga))["status"])

    assert concurrently(create, cancel) == [None, "cancelled"]


def test_orders_racing_their_cancellations_never_stand(carrito: Carrito) -> None:
    for _ in range(25):
        saga = carrito.saga_of(carrito.open_cart((1, 1)))
        concurrently(partial(carrito.order, saga), partial(carrito.cancel, saga))
        orders = body_of(carrito.get(f"/orders/saga/{saga.cart_id}"))["items"]
        assert [order["status"] for order in orders] in ([], ["cancelled"])


def test_a_cancellation_acts_for_its_own_saga_only(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    assert problem_of(carrito.cancel(saga, saga_id=new_id()))["status"] == 409
    other = carrito.saga_of(carrito.open_cart((1, 1)))
    other_order = other.order_id
    carrito.order(other)
    other.order_id = saga.order_id
    assert problem_of(carrito.cancel(other))["status"] == 409
    other.order_id = new_id()
    assert problem_of(carrito.cancel(other))["status"] == 409, "the saga's order has another id"
    for order_id in (saga.order_id, other_order):
        assert body_of(carrito.get(f"/orders/{order_id}"))["status"] == "pending"


def test_an_order_id_that_is_taken_is_refused(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    other = Saga(carrito.open_cart((1, 1)), new_id(), saga.order_id)
    refused = carrito.order(other)
    assert problem_of(refused)["type"] == "/problems/order-of-another-saga"
    assert outcome(carrito.order(other)) == outcome(refused), "its saga was told, and turned back"
    assert body_of(carrito.get(f"/orders/saga/{other.cart_id}"))["items"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", new_id()),
        ("payment_id", new_id()),
        ("cart_id", None),
        ("billing_address", "elsewhere"),
        ("amount", "12.49"),
    ],
)
def test_an_order_is_what_its_checkout_froze_or_it_is_refused_without_a_trace(
    carrito: Carrito, saga: Saga, field: str, value: object
) -> None:
    for before in (True, False):  # the saga's own request comes after it, or before it
        refused = problem_of(carrito.order(saga, **{field: value or carrito.open_cart((1, 1))}))
        assert (refused["status"], refused["field"]) == (409, "total" if field == "amount" else field)
        assert len(body_of(carrito.get(f"/orders/saga/{saga.cart_id}"))["items"]) == (0 if before else 1)
        assert body_of(carrito.order(saga, amount="12.50"))["status"] == "pending"


def test_what_is_put_into_a_cart_that_was_opened_again_is_never_in_the_first_sagas_order(
    carrito: Carrito, saga: Saga
) -> None:
    assert body_of(carrito.release(saga))["cart"]["status"] == "open"
    assert carrito.put(saga.cart_id, 2, 5).status_code == 201
    assert problem_of(carrito.order(saga))["type"] == "/problems/suspended"
    assert carrito.cart(saga.cart_id)["status"] == "open"
    assert body_of(carrito.get(f"/orders/saga/{saga.cart_id}"))["items"] == []


def test_a_repetition_that_differs_from_an_order_made_without_a_checkout_is_refused(carrito: Carrito) -> None:
    cart_id, other_cart, saga_id = carrito.open_cart((1, 1)), carrito.open_cart((2, 1)), new_id()
    first = carrito.post("/orders", {"cart_id": cart_id, "saga_id": saga_id})
    assert first.status_code == 201
    refused = problem_of(carrito.post("/orders", {"cart_id": other_cart, "saga_id": saga_id}))
    assert (refused["status"], refused["field"]) == (409, "cart_id")
    assert carrito.cart(other_cart)["status"] == "open"


def test_an_order_id_that_is_taken_leaves_an_open_cart_open(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    cart_id = carrito.open_cart((1, 1))
    assert problem_of(carrito.post("/orders", {"cart_id": cart_id, "order_id": saga.order_id}))["status"] == 409
    assert carrito.cart(cart_id)["status"] == "open"


def test_a_cart_that_another_saga_has_cannot_be_ordered(carrito: Carrito, saga: Saga) -> None:
    problem = problem_of(carrito.post("/orders", {"cart_id": saga.cart_id, "saga_id": new_id()}))
    assert (problem["status"], problem["saga_id"]) == (409, str(saga.saga_id))


def test_a_confirmation_checks_the_cart_out_once(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    answers = concurrently(*[partial(carrito.confirm, saga, saga_id=saga.saga_id)] * 6)
    assert len({outcome(answer) for answer in answers}) == 1
    assert carrito.cart(saga.cart_id)["status"] == "checked_out"
    assert problem_of(carrito.begin(saga.cart_id))["saga_id"] == str(saga.saga_id)


def test_a_confirmation_for_another_saga_is_refused(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    assert problem_of(carrito.confirm(saga, saga_id=new_id()))["status"] == 409
    assert body_of(carrito.get(f"/orders/{saga.order_id}"))["status"] == "pending"


def test_confirmations_racing_cancellations_agree_with_the_cart(carrito: Carrito) -> None:
    for _ in range(25):
        saga = carrito.saga_of(carrito.open_cart((1, 1)))
        carrito.order(saga)
        confirmed, cancelled = concurrently(partial(carrito.confirm, saga), partial(carrito.cancel, saga))
        assert cancelled.status_code == 200
        assert confirmed.status_code in {200, 409}
        assert body_of(carrito.get(f"/orders/{saga.order_id}"))["status"] == "cancelled"
        assert body_of(carrito.release(saga))["cart"]["status"] == "open"


def test_the_whole_of_a_completed_sale_can_be_undone(carrito: Carrito, saga: Saga) -> None:
    carrito.order(saga)
    carrito.confirm(saga)
    assert body_of(carrito.cancel(saga))["status"] == "cancelled"
    assert body_of(carrito.release(saga))["cart"]["status"] == "open"


@pytest.mark.parametrize("what", ["", "/confirm", "/cancel"])
def test_an_unknown_order_is_not_found(carrito: Carrito, what: str) -> None:
    path = f"/orders/{new_id()}{what}"
    response = carrito.post(path, {}) if what else carrito.get(path)
    assert problem_of(response)["status"] == 404


@pytest.mark.parametrize("path", ["/orders/7", "/orders/saga/x", "/carts/%00"])
def test_an_id_that_is_none_is_named(carrito: Carrito, path: str) -> None:
    problem = problem_of(carrito.get(path))
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] in {"order_id", "cart_id"}
