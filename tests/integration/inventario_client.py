"""A client of inventario with its vocabulary. Every answer must be one that its OpenAPI document declares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from shared.ids import new_id
from tests.integration.api_client import ApiClient, body_of

PRODUCTS = "/api/products"
RESERVE, UNRESERVE, COMMIT = f"{PRODUCTS}/reserve", f"{PRODUCTS}/unreserve", f"{PRODUCTS}/commit"


@dataclass(frozen=True)
class Saga:
    """A saga with its own ids."""

    saga_id: UUID = field(default_factory=new_id)
    cart_id: UUID = field(default_factory=new_id)

    @property
    def body(self) -> dict[str, UUID]:
        return {"saga_id": self.saga_id, "cart_id": self.cart_id}

    def wants(self, wanted: Mapping[int, int]) -> dict[str, Any]:
        """Return the body of a reserve."""
        items = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in wanted.items()]
        return {**self.body, "items": items}


class Inventario(ApiClient):
    """The client of one app. Thread-safe."""

    def add(self, quantity: int, price: str = "10.00") -> int:
        """Create a product; return its id."""
        body = {"name": "a thing", "price": price, "quantity": quantity, "sku": str(new_id())}
        response = self.post(PRODUCTS, body)
        assert response.status_code == 201
        return int(body_of(response)["id"])

    def stock(self, product_id: int) -> tuple[int, int, int]:
        """Return how many of a product are available, held and sold."""
        product = body_of(self.get(f"{PRODUCTS}/{product_id}"))
        return product["available"], product["held"], product["sold"]

    def reserve(self, saga: Saga, wanted: Mapping[int, int], key: str | None = None) -> TestResponse:
        return self.post(RESERVE, saga.wants(wanted), key)

    def unreserve(self, saga: Saga) -> TestResponse:
        return self.post(UNRESERVE, saga.body)

    def commit(self, saga: Saga) -> TestResponse:
        return self.post(COMMIT, saga.body)

    def statuses(self, saga: Saga) -> list[str]:
        """Return the statuses of the lines of the cart's reservations."""
        items = body_of(self.get(f"{PRODUCTS}/reservations/{saga.cart_id}"))["items"]
        return [item["status"] for item in items]

    def books_balance(self) -> bool:
        """Whether the audit shows what must hold in every snapshot."""
        audit = self.audit()
        stock = audit["stock"]
        on_shelves = stock["available"] + stock["held"] + stock["sold"]
        return not audit["broken_products"] and on_shelves == stock["seeded"] + stock["restocked"]
