"""Reserve, commit and unreserve: what each does, and how the barrier treats repetition and disorder."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from inventario import service
from inventario.domain import Reserve
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of, outcome, problem_of, wait_for_blocked
from tests.integration.inventario_client import COMMIT, PRODUCTS, RESERVE, UNRESERVE, Inventario, Saga

ServiceClient = Callable[..., FlaskClient]
Step = Callable[[Inventario, Saga], TestResponse]
OVER_AT_ONCE = 1e-6  # the lifetime of a hold that a test wants to expire


@pytest.fixture
def inventario(service_client: ServiceClient) -> Inventario:
    return Inventario(service_client("inventario"))


@pytest.fixture
def hasty(service_client: ServiceClient) -> Inventario:
    """inventario with holds that expire at once."""
    return Inventario(service_client("inventario", hold_seconds=OVER_AT_ONCE))


def expire(inventario: Inventario) -> None:
    with inventario.transaction() as connection:
        service.expire_holds(connection, limit=100)


# What each step does.


def test_reserving_holds_stock_for_a_time(inventario: Inventario) -> None:
    product, saga = inventario.add(10, price="2.50"), Saga()
    before = datetime.now(UTC)
    response = inventario.reserve(saga, {product: 3})
    assert response.status_code == 201
    body = body_of(response)
    line = {"saga_id": str(saga.saga_id), "product_id": product, "quantity": 3, "unit_price": Decimal("2.50")}
    expires_at = body["expires_at"]
    assert body == {
        "saga_id": str(saga.saga_id),
        "cart_id": str(saga.cart_id),
        "status": "held",
        "expires_at": expires_at,
        "reservations": [{**line, "status": "held", "expires_at": expires_at}],
    }
    assert abs(datetime.fromisoformat(expires_at) - before - timedelta(seconds=900)) < timedelta(seconds=60)
    assert inventario.stock(product) == (7, 3, 0)


def test_committing_sells_what_is_held(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 3})
    body = body_of(inventario.commit(saga))
    assert (body["status"], body["expires_at"]) == ("committed", None)
    assert inventario.stock(product) == (7, 0, 3)


def test_unreserving_gives_back_what_is_held(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 3})
    assert body_of(inventario.unreserve(saga))["status"] == "released"
    assert inventario.stock(product) == (10, 0, 0)


def test_unreserving_what_was_sold_restocks_it(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 3})
    inventario.commit(saga)
    assert body_of(inventario.unreserve(saga))["status"] == "released"
    assert inventario.stock(product) == (10, 0, 0)
    assert inventario.books_balance()


def test_a_hold_that_is_over_goes_back_and_cannot_be_sold(hasty: Inventario) -> None:
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 3})
    expire(hasty)
    problem = problem_of(hasty.commit(saga))
    assert (problem["type"], problem["reservation"]) == ("/problems/reservation-not-held", "expired")
    assert hasty.statuses(saga) == ["released"]
    expire(hasty)
    assert hasty.stock(product) == (10, 0, 0)


def test_a_hold_that_lasts_is_not_taken_away(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 3})
    expire(inventario)
    assert inventario.stock(product) == (7, 3, 0)


def test_what_was_sold_never_expires(hasty: Inventario) -> None:
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 3})
    hasty.commit(saga)
    expire(hasty)
    assert hasty.stock(product) == (7, 0, 3)


def test_without_a_saga_id_the_cart_id_stands_for_it(inventario: Inventario) -> None:
    product, cart = inventario.add(10), str(new_id())
    items = [{"product_id": str(product), "quantity": 2}]
    assert body_of(inventario.post(RESERVE, {"cart_id": cart, "items": items}))["saga_id"] == cart
    assert body_of(inventario.post(COMMIT, {"cart_id": cart, "items": items}))["status"] == "committed"
    assert body_of(inventario.post(UNRESERVE, {"cart_id": cart}))["saga_id"] == cart
    assert inventario.stock(product) == (10, 0, 0)


def test_all_lines_are_held_or_none(inventario: Inventario) -> None:
    plenty, scarce, saga = inventario.add(10), inventario.add(1), Saga()
    problem = problem_of(inventario.reserve(saga, {plenty: 2, scarce: 2}))
    assert (problem["status"], problem["type"]) == (409, "/problems/insufficient-stock")
    assert (problem["product_id"], problem["wanted"], problem["available"]) == (scarce, 2, 1)
    assert [inventario.stock(product) for product in (plenty, scarce)] == [(10, 0, 0), (1, 0, 0)]
    assert inventario.statuses(saga) == []


def test_an_unknown_product_holds_nothing_and_its_saga_is_refused_for_good(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    first = inventario.reserve(saga, {product: 1, 999_999_999: 1})
    assert (problem_of(first)["status"], problem_of(first)["product_id"]) == (404, 999_999_999)
    assert outcome(inventario.reserve(saga, {product: 1, 999_999_999: 1})) == outcome(first)
    assert problem_of(inventario.reserve(saga, {product: 1}))["field"] == "items"
    assert inventario.stock(product) == (10, 0, 0)


@pytest.mark.parametrize("step", ["reserve", "commit"])
@pytest.mark.parametrize(("field", "value"), [("cart_id", None), ("items", [{"product_id": 1, "quantity": 99}])])
def test_every_step_of_a_saga_is_about_its_own_cart_and_lines(
    inventario: Inventario, step: str, field: str, value: object
) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 2})
    lines = [{"product_id": product, "quantity": 2}]
    right = {"saga_id": saga.saga_id, "cart_id": saga.cart_id, "items": lines}
    refused = problem_of(inventario.post(f"/api/products/{step}", {**right, field: value or new_id()}))
    assert (refused["status"], refused["field"]) == (409, field)
    assert inventario.stock(product) == (8, 2, 0)
    assert inventario.post(f"/api/products/{step}", right).status_code < 300


def test_a_saga_gives_back_what_it_holds_also_if_somebody_else_requested_it_otherwise(inventario: Inventario) -> None:
    """Its own request was refused, so it turned back; what was held in its name must not stay."""
    product, saga = inventario.add(10), Saga()
    others = {"saga_id": saga.saga_id, "cart_id": new_id(), "items": [{"product_id": product, "quantity": 3}]}
    assert inventario.post(RESERVE, others).status_code == 201
    assert problem_of(inventario.reserve(saga, {product: 2}))["field"] == "cart_id"
    assert body_of(inventario.unreserve(saga))["status"] == "released"
    assert inventario.stock(product) == (10, 0, 0)


def test_lines_of_the_same_product_are_added_up(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    items = [{"product_id": product, "quantity": 4}, {"product_id": str(product), "quantity": 3}]
    body = body_of(inventario.post(RESERVE, {**saga.body, "items": items}))
    assert [line["quantity"] for line in body["reservations"]] == [7]
    assert inventario.stock(product) == (3, 7, 0)
    too_much = [{"product_id": product, "quantity": 2}, {"product_id": product, "quantity": 2}]
    assert problem_of(inventario.post(RESERVE, {**Saga().body, "items": too_much}))["wanted"] == 4


def test_the_price_is_frozen_when_it_is_reserved(inventario: Inventario) -> None:
    product, saga = inventario.add(10, price="3.33"), Saga()
    inventario.reserve(saga, {product: 1})
    with inventario.transaction() as connection:
        connection.exec_driver_sql("UPDATE products SET price_minor = 999 WHERE id = %s", (product,))
    assert body_of(inventario.commit(saga))["reservations"][0]["unit_price"] == Decimal("3.33")


def test_a_cart_lists_all_that_it_ever_reserved_oldest_first(inventario: Inventario) -> None:
    product, other, first = inventario.add(10), inventario.add(10), Saga()
    second = Saga(cart_id=first.cart_id)
    inventario.reserve(first, {product: 1, other: 1})
    inventario.unreserve(first)
    inventario.reserve(second, {product: 2})
    items = body_of(inventario.get(f"{PRODUCTS}/reservations/{first.cart_id}"))["items"]
    assert [(item["saga_id"], item["product_id"], item["quantity"], item["status"]) for item in items] == [
        (str(first.saga_id), product, 1, "released"),
        (str(first.saga_id), other, 1, "released"),
        (str(second.saga_id), product, 2, "held"),
    ]


def test_nothing_is_committed_that_was_not_reserved(inventario: Inventario) -> None:
    saga = Saga()
    problem = problem_of(inventario.commit(saga))
    assert (problem["status"], problem["type"]) == (404, "/problems/reservation-not-found")
    assert problem["saga_id"] == str(saga.saga_id)


# The barrier.


@pytest.mark.parametrize("times", [2, 5])
def test_a_repeated_reserve_holds_once_and_answers_alike(inventario: Inventario, times: int) -> None:
    product, saga = inventario.add(10), Saga()
    answers = [inventario.reserve(saga, {product: 3}) for _ in range(times)]
    assert {outcome(answer) for answer in answers} == {(201, answers[0].data)}
    assert inventario.stock(product) == (7, 3, 0)


def test_a_saga_cannot_reserve_something_else_under_the_same_step(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    first = inventario.reserve(saga, {product: 3})
    assert problem_of(inventario.reserve(saga, {product: 5}))["type"] == "/problems/repeated-otherwise"
    assert outcome(inventario.reserve(saga, {product: 3})) == outcome(first)
    assert inventario.stock(product) == (7, 3, 0)


def test_reserves_of_one_saga_at_the_same_moment_hold_once(inventario: Inventario) -> None:
    for _ in range(5):
        product, saga = inventario.add(10), Saga()
        answers = concurrently(*[partial(inventario.reserve, saga, {product: 3})] * 8)
        assert {outcome(answer) for answer in answers} == {(201, answers[0].data)}
        assert inventario.stock(product) == (7, 3, 0)


def test_a_reserve_waits_for_the_one_of_its_saga_that_is_under_way(inventario: Inventario) -> None:
    """The second one certainly comes before the commit of the first, and gets the first one's result."""
    product, saga = inventario.add(10), Saga()
    command = Reserve(saga.saga_id, saga.cart_id, {product: 3})
    under_way = threading.Event()

    def first() -> tuple[int, bytes]:
        with inventario.transaction() as connection:
            service.reserve(connection, [command], hold_seconds=900)
            under_way.set()
            wait_for_blocked(connection)
        return outcome(inventario.reserve(saga, {product: 3}))

    def second() -> tuple[int, bytes]:
        under_way.wait()
        return outcome(inventario.reserve(saga, {product: 3}))

    one, two = concurrently(first, second)
    assert one == two
    assert inventario.stock(product) == (7, 3, 0)


def test_a_reserve_acts_when_the_one_it_waited_for_is_rolled_back(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    under_way = threading.Event()

    def first() -> int:
        with inventario.transaction() as connection:
            service.reserve(connection, [Reserve(saga.saga_id, saga.cart_id, {product: 3})], hold_seconds=900)
            under_way.set()
            wait_for_blocked(connection)
            connection.rollback()
        return 0

    def second() -> int:
        under_way.wait()
        return inventario.reserve(saga, {product: 3}).status_code

    assert concurrently(first, second) == [0, 201]
    assert inventario.stock(product) == (7, 3, 0)


@pytest.mark.parametrize("step", [Inventario.commit, Inventario.unreserve])
def test_a_repeated_step_acts_once_and_answers_alike(inventario: Inventario, step: Step) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 3})
    first = step(inventario, saga)
    stock = inventario.stock(product)
    answers = [step(inventario, saga), *concurrently(*[lambda: step(inventario, saga)] * 8)]
    assert {outcome(answer) for answer in answers} == {outcome(first)}
    assert inventario.stock(product) == stock


@pytest.mark.parametrize("step", [Inventario.commit, Inventario.unreserve])
def test_a_step_taken_many_times_at_the_same_moment_acts_once(inventario: Inventario, step: Step) -> None:
    for _ in range(5):
        product, saga = inventario.add(10), Saga()
        inventario.reserve(saga, {product: 3})
        answers = concurrently(*[partial(step, inventario, saga)] * 8)
        assert {outcome(answer) for answer in answers} == {(200, answers[0].data)}
        available, held, sold = inventario.stock(product)
        assert (held, available + sold) == (0, 10)
    assert inventario.books_balance()


def test_undoing_a_sale_many_times_at_once_restocks_once(inventario: Inventario) -> None:
    for _ in range(5):
        product, saga = inventario.add(10), Saga()
        inventario.reserve(saga, {product: 3})
        inventario.commit(saga)
        concurrently(*[partial(inventario.unreserve, saga)] * 8)
        assert inventario.stock(product) == (10, 0, 0)


def test_a_refusal_is_given_again_word_for_word_even_after_a_restock(inventario: Inventario) -> None:
    product, saga = inventario.add(1), Saga()
    first = inventario.reserve(saga, {product: 2})
    assert problem_of(first)["type"] == "/problems/insufficient-stock"
    inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 10})
    answers = [inventario.reserve(saga, {product: 2}), inventario.reserve(saga, {product: 2}, str(new_id()))]
    assert {outcome(answer) for answer in answers} == {outcome(first)}
    assert inventario.stock(product) == (11, 0, 0)
    assert inventario.reserve(Saga(cart_id=saga.cart_id), {product: 2}).status_code == 201


def test_one_saga_refused_at_the_same_moment_is_refused_alike(inventario: Inventario) -> None:
    product, saga = inventario.add(1), Saga()
    answers = concurrently(*[lambda: inventario.reserve(saga, {product: 2})] * 8)
    assert {outcome(answer) for answer in answers} == {(409, answers[0].data)}


def test_a_refusal_under_a_key_is_given_again(inventario: Inventario) -> None:
    product, saga, key = inventario.add(1), Saga(), str(new_id())
    first = inventario.reserve(saga, {product: 2}, key)
    inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 10})
    again = inventario.reserve(saga, {product: 2}, key)
    assert outcome(again) == outcome(first)
    assert again.mimetype == "application/problem+json"


def test_undoing_what_never_came_does_nothing_and_keeps_it_from_coming(inventario: Inventario) -> None:
    product, saga = inventario.add(10), Saga()
    undone = body_of(inventario.unreserve(saga))
    assert (undone["status"], undone["reservations"], undone["expires_at"]) == ("released", [], None)
    problem = problem_of(inventario.reserve(saga, {product: 3}))
    assert (problem["status"], problem["type"]) == (409, "/problems/suspended")
    assert inventario.stock(product) == (10, 0, 0)
    assert body_of(inventario.unreserve(saga)) == undone
    assert problem_of(inventario.commit(saga))["status"] == 404


@pytest.mark.parametrize("sold", [False, True])
def test_after_it_was_undone_a_step_is_refused(inventario: Inventario, sold: bool) -> None:
    product, saga = inventario.add(10), Saga()
    inventario.reserve(saga, {product: 3})
    if sold:
        inventario.commit(saga)
    inventario.unreserve(saga)
    assert problem_of(inventario.reserve(saga, {product: 3}))["type"] == "/problems/suspended"
    assert problem_of(inventario.commit(saga))["reservation"] == "released"
    assert inventario.stock(product) == (10, 0, 0)


def test_undoing_a_refused_reserve_does_nothing(inventario: Inventario) -> None:
    product, saga = inventario.add(1), Saga()
    inventario.reserve(saga, {product: 2})
    assert body_of(inventario.unreserve(saga))["reservations"] == []
    assert inventario.stock(product) == (1, 0, 0)


def test_undoing_a_hold_that_is_over_does_nothing(hasty: Inventario) -> None:
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 3})
    expire(hasty)
    assert body_of(hasty.unreserve(saga))["status"] == "expired"
    assert hasty.stock(product) == (10, 0, 0)


def test_a_reserve_that_is_over_is_not_held_again(hasty: Inventario) -> None:
    product, saga = hasty.add(10), Saga()
    hasty.reserve(saga, {product: 3})
    expire(hasty)
    assert problem_of(hasty.reserve(saga, {product: 3}))["type"] == "/problems/reservation-not-held"
    assert hasty.stock(product) == (10, 0, 0)


def test_a_compensation_undoes_its_own_saga_only(inventario: Inventario) -> None:
    product, mine = inventario.add(10), Saga()
    others = Saga(cart_id=mine.cart_id)  # a second checkout of the same cart
    inventario.reserve(mine, {product: 3})
    inventario.reserve(others, {product: 4})
    inventario.unreserve(mine)
    assert inventario.statuses(mine) == ["released", "held"]
    assert inventario.stock(product) == (6, 4, 0)
    assert inventario.commit(others).status_code == 200


def test_another_saga_s_cart_id_undoes_nothing_of_it(inventario: Inventario) -> None:
    product, victim = inventario.add(10), Saga()
    inventario.reserve(victim, {product: 3})
    inventario.unreserve(Saga(cart_id=victim.cart_id))
    inventario.post(UNRESERVE, {"cart_id": victim.cart_id})
    assert inventario.stock(product) == (7, 3, 0)
    assert inventario.statuses(victim) == ["held"]


def test_undo_and_action_at_the_same_moment_leave_nothing_held(inventario: Inventario) -> None:
    """Whichever is first: the hold is returned, or it is refused."""
    product = inventario.add(10)
    for _ in range(30):
        saga = Saga()
        reserved, undone = concurrently(
            partial(inventario.reserve, saga, {product: 3}), partial(inventario.unreserve, saga)
        )
        assert undone.status_code == 200
        assert reserved.status_code == 201 or problem_of(reserved)["type"] == "/problems/suspended"
        assert inventario.stock(product) == (10, 0, 0)
        assert inventario.statuses(saga) in ([], ["released"])
