"""Products and restocking over HTTP, on a real PostgreSQL."""

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from inventario.stock_store import lock_shelves
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of, outcome, problem_of, wait_for_blocked
from tests.integration.inventario_client import PRODUCTS, RESERVE, Inventario, Saga

ServiceClient = Callable[..., FlaskClient]


@pytest.fixture
def inventario(service_client: ServiceClient) -> Inventario:
    return Inventario(service_client("inventario"))


def test_a_new_product_has_all_its_stock_available(inventario: Inventario) -> None:
    sku = str(new_id())
    body = {
        "name": "Lámpara",
        "description": "de mesa",
        "price": "19.90",
        "quantity": 7,
        "category": "casa",
        "sku": sku,
    }
    created = inventario.post(PRODUCTS, body)
    assert created.status_code == 201
    product = body_of(created)
    assert product == {
        "id": product["id"],
        **body,
        "price": Decimal("19.90"),
        "available": 7,
        "held": 0,
        "sold": 0,
    }
    assert outcome(inventario.get(f"{PRODUCTS}/{product['id']}")) == (200, created.data)


@pytest.mark.parametrize("price", [b"0.01", b"10", b"10.5", b'"10.50"', b"99999999.99", b'"7"'])
def test_a_price_comes_out_exactly_as_it_went_in(inventario: Inventario, price: bytes) -> None:
    data = b'{"name": "n", "quantity": 0, "sku": "%s", "price": %s}' % (str(new_id()).encode(), price)
    response = inventario.post_raw(PRODUCTS, data)
    assert response.status_code == 201
    out = body_of(response)["price"]
    assert out == Decimal(price.decode().strip('"'))
    assert out.as_tuple().exponent == -2


@pytest.mark.parametrize("quantity", [b"1.0", b"1e0", b"10e-1"])
def test_a_whole_number_is_one_however_it_is_written(inventario: Inventario, quantity: bytes) -> None:
    product = inventario.add(0)
    response = inventario.post_raw(f"{PRODUCTS}/{product}/restock", b'{"quantity": %s}' % quantity)
    assert response.status_code == 200
    assert inventario.stock(product) == (1, 0, 0)
    items = b'[{"product_id": %d.0, "quantity": %s}]' % (product, quantity)
    response = inventario.post_raw(RESERVE, b'{"cart_id": "%s", "items": %s}' % (str(new_id()).encode(), items))
    assert response.status_code == 201
    assert inventario.stock(product) == (0, 1, 0)


def test_a_sku_is_taken_once(inventario: Inventario) -> None:
    body = {"name": "n", "price": 1, "quantity": 1, "sku": str(new_id())}
    answers = concurrently(*[lambda: inventario.post(PRODUCTS, body)] * 5)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    refused = next(problem_of(answer) for answer in answers if answer.status_code == 409)
    assert (refused["type"], refused["sku"]) == ("/problems/sku-taken", body["sku"])


def test_the_list_is_paged_without_gaps_or_repetitions(service_client: ServiceClient, fresh_database_url: str) -> None:
    inventario = Inventario(service_client("inventario", fresh_database_url))
    made = [inventario.add(1) for _ in range(7)]
    seen, after = [], 0
    pages = 0
    while after is not None:
        page = body_of(inventario.get(f"{PRODUCTS}?limit=3&after={after}"))
        seen += [product["id"] for product in page["items"]]
        after = page["next_after"]
        pages += 1
    assert (seen, pages) == (made, 3)


def test_the_last_full_page_leads_to_an_empty_one(service_client: ServiceClient, fresh_database_url: str) -> None:
    inventario = Inventario(service_client("inventario", fresh_database_url))
    assert body_of(inventario.get(PRODUCTS)) == {"items": [], "next_after": None}
    last = [inventario.add(1) for _ in range(2)][-1]
    assert body_of(inventario.get(f"{PRODUCTS}?limit=2"))["next_after"] == last
    assert body_of(inventario.get(f"{PRODUCTS}?limit=2&after={last}")) == {"items": [], "next_after": None}


def test_restocking_adds_to_what_is_available(inventario: Inventario) -> None:
    product = inventario.add(3)
    inventario.reserve(Saga(), {product: 2})
    response = inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 5})
    assert response.status_code == 200
    assert inventario.stock(product) == (6, 2, 0)
    assert inventario.books_balance()


def test_restocking_from_many_sides_loses_nothing(inventario: Inventario) -> None:
    product = inventario.add(0)
    concurrently(*[lambda: inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 3})] * 20)
    assert inventario.stock(product) == (60, 0, 0)


@pytest.mark.parametrize("path", ["99999999", "999999999"])
def test_what_is_not_there_is_not_found(inventario: Inventario, path: str) -> None:
    for response in (
        inventario.get(f"{PRODUCTS}/{path}"),
        inventario.post(f"{PRODUCTS}/{path}/restock", {"quantity": 1}),
        inventario.reserve(Saga(), {int(path): 1}),
    ):
        problem = problem_of(response)
        assert (problem["status"], problem["type"]) == (404, "/problems/product-not-found")
        assert problem["product_id"] == int(path)


def test_a_key_makes_a_request_act_once_and_answer_alike(inventario: Inventario) -> None:
    product, key = inventario.add(0), str(new_id())
    path = f"{PRODUCTS}/{product}/restock"
    first = inventario.post(path, {"quantity": 4}, key)
    inventario.post(path, {"quantity": 1})
    again = inventario.post(path, {"quantity": 4}, f'"{key}"')
    assert outcome(again) == outcome(first)
    assert again.mimetype == first.mimetype
    assert inventario.stock(product) == (5, 0, 0)


def test_a_key_with_another_body_is_refused_and_does_nothing(inventario: Inventario) -> None:
    product, key = inventario.add(0), str(new_id())
    inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 4}, key)
    problem = problem_of(inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 5}, key))
    assert (problem["status"], problem["type"]) == (422, "/problems/key-reused")
    assert inventario.stock(product) == (4, 0, 0)


def test_the_same_key_at_another_endpoint_is_another_key(inventario: Inventario) -> None:
    products, key = [inventario.add(0), inventario.add(0)], str(new_id())
    for product in products:
        assert inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 4}, key).status_code == 200
    assert [inventario.stock(product) for product in products] == [(4, 0, 0), (4, 0, 0)]


def test_a_key_used_at_the_same_moment_acts_once(inventario: Inventario) -> None:
    for _ in range(10):
        product, key = inventario.add(0), str(new_id())
        path = f"{PRODUCTS}/{product}/restock"
        answers = concurrently(*[lambda path=path, key=key: inventario.post(path, {"quantity": 1}, key)] * 4)
        done = {outcome(answer) for answer in answers if answer.status_code == 200}
        busy = [problem_of(answer) for answer in answers if answer.status_code != 200]
        assert len(done) == 1
        assert {(each["status"], each["type"]) for each in busy} <= {(409, "/problems/key-in-use")}
        assert inventario.stock(product) == (1, 0, 0)


def test_a_running_request_keeps_its_key_busy(inventario: Inventario) -> None:
    """The first one waits for the row that this test has locked, so the second one certainly finds it running."""
    product, key = inventario.add(0), str(new_id())
    path = f"{PRODUCTS}/{product}/restock"
    locked = threading.Event()

    def restock() -> TestResponse:
        locked.wait()
        return inventario.post(path, {"quantity": 1}, key)

    def restock_meanwhile() -> TestResponse:
        with inventario.transaction() as connection:
            lock_shelves(connection, [product])
            locked.set()
            wait_for_blocked(connection)
            return inventario.post(path, {"quantity": 1}, key)

    first, second = concurrently(restock, restock_meanwhile)
    assert first.status_code == 200
    assert problem_of(second)["type"] == "/problems/key-in-use"
    assert inventario.stock(product) == (1, 0, 0)


def test_a_request_that_could_not_be_done_does_not_use_up_its_key(inventario: Inventario) -> None:
    sku, key = str(new_id()), str(new_id())
    body = {"name": "n", "price": 1, "quantity": 1, "sku": sku}
    other = body_of(inventario.post(PRODUCTS, body))
    assert inventario.post(PRODUCTS, body, key).status_code == 409
    assert inventario.post(PRODUCTS, {**body, "sku": str(new_id())}, key).status_code == 201
    assert other["sku"] == sku


@pytest.mark.parametrize("key", ["", '""', "a b", '"', '"unclosed', "x" * 201, 'a"b', "a\\b"])
def test_a_key_that_is_none_is_refused(inventario: Inventario, key: str) -> None:
    product = inventario.add(0)
    problem = problem_of(inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 1}, key))
    assert (problem["status"], problem["header"]) == (422, "Idempotency-Key")
    assert inventario.stock(product) == (0, 0, 0)
