"""Behaviour that only a real server shows: large and broken bodies, and processes that are stopped or killed."""

import http.client
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from shared.ids import new_id
from shared.testing import wait_until
from tests.system.running import RunningSystem

JSON = {"Content-Type": "application/json"}
Start = Callable[..., RunningSystem]


@pytest.fixture
def system(start_system: Start) -> RunningSystem:
    return start_system(processes=["inventario"])


@pytest.fixture
def products(system: RunningSystem) -> str:
    return system.url("inventario") + "/api/products"


def add(products: str, quantity: int) -> str:
    """Create a product; return its URL."""
    body = {"name": "n", "price": 1, "quantity": quantity, "sku": str(new_id())}
    return f"{products}/{requests.post(products, json=body, timeout=5).json()['id']}"


def available(product: str) -> int:
    return int(requests.get(product, timeout=5).json()["available"])


def problem_of(response: requests.Response) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    return problem


def in_chunks(body: bytes) -> Iterator[bytes]:
    yield from (body[start : start + 65_536] for start in range(0, len(body), 65_536))


def test_a_body_of_ten_megabytes_is_answered_not_cut_off(products: str) -> None:
    product = add(products, 0)
    body = b'{"quantity": 1}' + b" " * 10_000_000
    for data in (body, in_chunks(body)):  # with a length, and without
        response = requests.post(f"{product}/restock", data=data, headers=JSON, timeout=10)
        assert problem_of(response)["status"] == 413
    assert available(product) == 0


def test_a_body_that_comes_in_chunks_is_taken(products: str) -> None:
    product = add(products, 0)
    response = requests.post(f"{product}/restock", data=in_chunks(b'{"quantity": 1}'), headers=JSON, timeout=10)
    assert (response.status_code, available(product)) == (200, 1)


def test_a_body_that_breaks_off_is_refused(products: str) -> None:
    product = add(products, 0)
    with begun_restock(product, length=100) as connection:
        connection.send(b'{"quantity": 1}')
        connection.sock.shutdown(socket.SHUT_WR)
        response = connection.getresponse()
        assert (response.status, response.getheader("Content-Type")) == (400, "application/problem+json")
    assert available(product) == 0


def test_a_key_that_is_much_too_long_is_refused_by_name(products: str) -> None:
    product = add(products, 0)
    headers = {"Idempotency-Key": "x" * 20_000}
    response = requests.post(f"{product}/restock", json={"quantity": 1}, headers=headers, timeout=10)
    assert (problem_of(response)["status"], problem_of(response)["header"]) == (422, "Idempotency-Key")


def test_a_service_that_dies_before_it_answers_has_done_it_once(start_system: Start) -> None:
    point = "inventario.POST /api/products/reserve.before_answer"
    system = start_system(processes=["inventario"], env_of={"inventario": {"FAULT_KILL_AT": point}})
    products = system.url("inventario") + "/api/products"
    product = add(products, 10)
    body = {"cart_id": str(new_id()), "items": [{"product_id": product.rpartition("/")[2], "quantity": 3}]}
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{products}/reserve", json=body, timeout=10)
    system.wait_dead("inventario")
    assert system.fault_fired("inventario")
    system.restart("inventario")
    assert available(product) == 7
    assert requests.post(f"{products}/reserve", json=body, timeout=10).status_code == 201
    assert available(product) == 7


def test_a_service_told_to_stop_finishes_what_it_has_begun(start_system: Start) -> None:
    system = start_system(processes=["inventario"])
    product = add(system.url("inventario") + "/api/products", 0)
    with begun_restock(product, length=15) as connection, ThreadPoolExecutor() as pool:
        stopped = pool.submit(system.stop, "inventario")
        wait_until(lambda: not answers(product), "it takes nothing new")
        connection.send(b'{"quantity": 1}')
        response = connection.getresponse()
        assert (response.status, b'"available":1' in response.read()) == (200, True)
    assert stopped.result() == 0


@contextmanager
def begun_restock(product: str, length: int) -> Iterator[http.client.HTTPConnection]:
    """Yield a request whose headers the service has received; it waits for a body of this length."""
    url = urlsplit(product)
    with closing(http.client.HTTPConnection(url.netloc, timeout=20)) as connection:
        connection.putrequest("POST", f"{url.path}/restock")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        yield connection


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=0.2).ok
    except requests.RequestException:
        return False


def test_workers_return_the_holds_of_a_service_that_is_gone(start_system: Start) -> None:
    system = start_system(
        processes=["inventario", "inventario-worker"],
        copies={"inventario-worker": 3},
        env={"HOLD_SECONDS": "0.2"},
    )
    products = system.url("inventario") + "/api/products"
    product = add(products, 10)
    for _ in range(5):
        body = {"cart_id": str(new_id()), "items": [{"product_id": product.rpartition("/")[2], "quantity": 2}]}
        assert requests.post(f"{products}/reserve", json=body, timeout=5).status_code == 201
    system.kill("inventario-worker-1")
    wait_until(lambda: available(product) == 10, "all holds are returned")
    audit = requests.get(system.url("inventario") + "/audit", timeout=5).json()
    assert (audit["reservations"], audit["broken_products"]) == ({"expired": 5}, [])
    assert [system.stop(name) for name in ("inventario-worker-2", "inventario-worker-3")] == [0, 0]
