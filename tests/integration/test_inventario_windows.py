"""inventario's books, health and metrics."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import IntegrityError

from tests.integration.api_client import body_of, problem_of
from tests.integration.inventario_client import COMMIT, PRODUCTS, RESERVE, UNRESERVE, Inventario, Saga

ServiceClient = Callable[..., FlaskClient]
NOWHERE = "127.0.0.1:1"  # a port without a listener


@pytest.fixture
def inventario(service_client: ServiceClient, fresh_database_url: str) -> Inventario:
    return Inventario(service_client("inventario", fresh_database_url))


# Books.


def test_the_books_of_nothing_balance(inventario: Inventario) -> None:
    audit = inventario.audit()
    assert audit["stock"] == {"available": 0, "held": 0, "sold": 0, "seeded": 0, "restocked": 0}
    assert (audit["broken_products"], audit["reservations"], audit["committed_minor"]) == ([], {}, 0)


def test_the_books_tell_where_all_stock_is(inventario: Inventario) -> None:
    product, other = inventario.add(10, price="2.50"), inventario.add(5, price="1.00")
    inventario.post(f"{PRODUCTS}/{product}/restock", {"quantity": 3})
    held, sold, released = Saga(), Saga(), Saga()
    inventario.reserve(held, {product: 2})
    inventario.reserve(sold, {product: 4, other: 1})
    inventario.commit(sold)
    inventario.reserve(released, {product: 1})
    inventario.unreserve(released)
    audit = inventario.audit()
    assert audit["stock"] == {"available": 11, "held": 2, "sold": 5, "seeded": 15, "restocked": 3}
    assert audit["broken_products"] == []
    assert audit["reservations"] == {"held": 1, "committed": 1, "released": 1}
    assert audit["committed_minor"] == 4 * 250 + 100
    assert audit["overdue_holds"] == 0


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE reservation_lines SET quantity = quantity + 1",
        "UPDATE reservations SET status = 'released'",
        "UPDATE products SET held = held - 1, available = available + 1 WHERE held > 0",
        "UPDATE products SET held = held - 1, sold = sold + 1 WHERE held > 0",
        "UPDATE products SET available = available - 1, sold = sold + 1 WHERE held > 0",
        "UPDATE products SET available = available - 1, held = held + 1 WHERE held > 0",
        "DELETE FROM reservation_lines",
    ],
)
def test_stock_that_does_not_add_up_is_named(inventario: Inventario, damage: str) -> None:
    inventario.add(10)
    product = inventario.add(10)
    inventario.reserve(Saga(), {product: 2})
    assert inventario.audit()["broken_products"] == []
    with inventario.transaction() as connection:
        connection.exec_driver_sql(damage)
    assert inventario.audit()["broken_products"] == [product]


def test_a_hold_that_was_not_returned_in_time_is_told(service_client: ServiceClient, fresh_database_url: str) -> None:
    inventario = Inventario(service_client("inventario", fresh_database_url))
    inventario.reserve(Saga(), {inventario.add(10): 1})
    with inventario.transaction() as connection:
        connection.exec_driver_sql("UPDATE reservations SET expires_at = now() - interval '90 seconds'")
    audit = inventario.audit()
    assert audit["overdue_holds"] == 1
    assert 90 <= audit["oldest_hold_overdue_seconds"] < 100


def test_the_table_refuses_what_would_lose_stock(inventario: Inventario) -> None:
    """The constraints hold whatever the code does."""
    inventario.add(10)
    for damage in ("available = available - 1", "available = -1, restocked = -11", "held = held + 1"):
        with pytest.raises(IntegrityError, match="ck_products_none"), inventario.transaction() as connection:
            connection.exec_driver_sql(f"UPDATE products SET {damage}")


# Health.


def test_a_service_with_all_that_it_needs_is_well(inventario: Inventario) -> None:
    body = body_of(inventario.get("/health"))
    assert body == {"status": "ok", "service": "inventario", "dependencies": {"database": "ok"}}


def test_a_missing_database_is_told_and_nothing_is_accepted(service_client: ServiceClient) -> None:
    inventario = Inventario(service_client("inventario", f"postgresql://nobody@{NOWHERE}/none"))
    health = problem_of(inventario.get("/health"))
    assert (health["status"], list(health["dependencies"])) == (503, ["database"])
    assert "database" in health["detail"]
    saga = Saga()
    for response in (
        inventario.get(PRODUCTS),
        inventario.get("/audit"),
        inventario.post(PRODUCTS, {"name": "n", "price": 1, "quantity": 1, "sku": "s"}),
        inventario.post(RESERVE, {**saga.body, "items": [{"product_id": 1, "quantity": 1}]}, key="k"),
        inventario.post(UNRESERVE, saga.body),
        inventario.post(COMMIT, saga.body),
    ):
        assert problem_of(response)["status"] == 503
        assert response.headers["Retry-After"] == "1"
        assert "nobody" not in response.text


def test_a_missing_broker_is_told(service_client: ServiceClient, database_url: str) -> None:
    url = f"amqp://guest:guest@{NOWHERE}/"
    inventario = Inventario(service_client("inventario", database_url, rabbitmq_url=url))
    health = problem_of(inventario.get("/health"))
    assert (health["status"], health["dependencies"]["database"]) == (503, "ok")
    assert "rabbitmq" in health["detail"]
    assert inventario.get(PRODUCTS).status_code == 200


# Metrics.


def test_requests_are_counted_by_route_and_outcome(inventario: Inventario) -> None:
    product = inventario.add(1)
    for saga in (Saga(), Saga()):
        inventario.reserve(saga, {product: 1})
    counted = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(inventario.get("/metrics").text)
        for sample in family.samples
        if sample.name == "http_requests_total"
    }
    assert counted[RESERVE, "201"] == counted[RESERVE, "409"] == 1
    assert counted[PRODUCTS, "201"] == 1
