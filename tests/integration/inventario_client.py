"""inventario in the words of its tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import Connection, text
from werkzeug.test import TestResponse

from inventario.models import db
from shared.ids import new_id
from shared.json_codec import dumps
from shared.testing import wait_until

PRODUCTS = "/api/products"
RESERVE, UNRESERVE, COMMIT = f"{PRODUCTS}/reserve", f"{PRODUCTS}/unreserve", f"{PRODUCTS}/commit"


@dataclass(frozen=True)
class Saga:
    """A saga with ids of its own."""

    saga_id: UUID = field(default_factory=new_id)
    cart_id: UUID = field(default_factory=new_id)

    @property
    def body(self) -> dict[str, UUID]:
        return {"saga_id": self.saga_id, "cart_id": self.cart_id}


class Inventario:
    """Talks to one app; safe to use from many threads."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, body: Any, key: str | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.client.post(path, data=dumps(body), content_type="application/json", headers=headers)

    def post_raw(self, path: str, data: bytes, content_type: str | None = "application/json") -> TestResponse:
        return self.client.post(path, data=data, content_type=content_type)

    def add(self, quantity: int, price: str = "10.00") -> int:
        """The id of a new product."""
        body = {"name": "a thing", "price": price, "quantity": quantity, "sku": str(new_id())}
        response = self.post(PRODUCTS, body)
        assert response.status_code == 201
        return int(body_of(response)["id"])

    def stock(self, product_id: int) -> tuple[int, int, int]:
        """What is available, held and sold."""
        product = body_of(self.get(f"{PRODUCTS}/{product_id}"))
        return product["available"], product["held"], product["sold"]

    def reserve(self, saga: Saga, wanted: Mapping[int, int], key: str | None = None) -> TestResponse:
        items = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in wanted.items()]
        return self.post(RESERVE, {**saga.body, "items": items}, key)

    def unreserve(self, saga: Saga) -> TestResponse:
        return self.post(UNRESERVE, saga.body)

    def commit(self, saga: Saga) -> TestResponse:
        return self.post(COMMIT, saga.body)

    def statuses(self, saga: Saga) -> list[str]:
        """Of the lines of the cart's reservations."""
        items = body_of(self.get(f"{PRODUCTS}/reservations/{saga.cart_id}"))["items"]
        return [item["status"] for item in items]

    def audit(self) -> dict[str, Any]:
        return body_of(self.get("/audit"))

    def books_balance(self) -> bool:
        """What the audit must show in every snapshot."""
        audit = self.audit()
        stock = audit["stock"]
        on_shelves = stock["available"] + stock["held"] + stock["sold"]
        return not audit["broken_products"] and on_shelves == stock["seeded"] + stock["restocked"]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of the service's own."""
        with self.client.application.app_context(), db.transaction() as uow:
            yield uow


def body_of(response: TestResponse) -> dict[str, Any]:
    """The JSON object of a response."""
    body = response.json
    assert isinstance(body, dict)
    return body


def problem_of(response: TestResponse) -> dict[str, Any]:
    """The members of a problem, which is what every error must be."""
    assert response.mimetype == "application/problem+json"
    problem = body_of(response)
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == response.status_code
    return problem


def outcome(response: TestResponse) -> tuple[int, bytes]:
    """What two answers have in common when they are the same word for word."""
    return response.status_code, response.data


def wait_for_blocked(uow: Connection) -> None:
    """Until somebody waits for a lock that this transaction holds."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    wait_until(lambda: uow.scalar(waiting), "a request that waits")
