"""A client of carrito with its vocabulary; a catalogue of products stands for inventario."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from carrito.domain import Checkout, Product
from carrito.handover import Handover
from shared.http.client import PeerRefused
from shared.ids import new_id
from tests.integration.api_client import ApiClient, body_of

USER = "ana"


class Catalogue:
    """Stands for inventario, with products 1 to 3."""

    def get_product(self, product_id: int) -> Product:
        if product_id > 3:
            raise PeerRefused(
                {"type": "/problems/product-not-found", "title": "No such product", "status": 404, "detail": "?"}
            )
        return Product(product_id, f"product {product_id}", 250 * product_id, 10)


class TurnedBack(Handover):
    """Stands for the orchestrator: every saga has turned back."""

    def has_turned_back(self, checkout: Checkout) -> bool:  # noqa: ARG002  (of every saga)
        return True


class Carrito(ApiClient):
    """The client of one app. Thread-safe."""

    def __init__(self, client: FlaskClient) -> None:
        super().__init__(client)
        extensions = client.application.extensions
        extensions["inventario_client"] = Catalogue()
        extensions["handover"] = TurnedBack(extensions["settings"], places=8)

    def open_cart(self, *lines: tuple[int, int], user_id: str = USER) -> UUID:
        """Create a cart with these (product, quantity) lines."""
        response = self.post("/carts", {"user_id": user_id})
        assert response.status_code == 201
        cart_id = UUID(body_of(response)["id"])
        for product_id, quantity in lines:
            assert self.put(cart_id, product_id, quantity).status_code == 201
        return cart_id

    def put(self, cart_id: UUID, product_id: Any, quantity: Any, key: str | None = None) -> TestResponse:
        return self.post(f"/carts/{cart_id}/items", {"product_id": product_id, "quantity": quantity}, key)

    def cart(self, cart_id: UUID) -> dict[str, Any]:
        return body_of(self.get(f"/carts/{cart_id}"))

    def begin(self, cart_id: UUID, user_id: str = USER, key: str | None = None) -> TestResponse:
        checkout_body = {"payment_method": "paypal", "billing_address": "here", "saga_pattern": "orchestrated"}
        return self.post(f"/carts/{cart_id}/checkout", {**checkout_body, "user_id": user_id}, key)

    def saga_of(self, cart_id: UUID) -> "Saga":
        """Check the cart out; return its saga."""
        response = self.begin(cart_id)
        assert response.status_code == 201
        frozen = body_of(response)
        return Saga(cart_id, UUID(frozen["saga_id"]), UUID(frozen["order_id"]))

    def order(self, saga: "Saga", **changes: Any) -> TestResponse:
        return self.post("/orders", {**saga.body, "order_id": saga.order_id, **changes})

    def confirm(self, saga: "Saga", **body: Any) -> TestResponse:
        return self.post(f"/orders/{saga.order_id}/confirm", body)

    def cancel(self, saga: "Saga", **changes: Any) -> TestResponse:
        return self.post(f"/orders/{saga.order_id}/cancel", {"saga_id": saga.saga_id, **changes})

    def release(self, saga: "Saga") -> TestResponse:
        return self.post(f"/carts/{saga.cart_id}/release", {"saga_id": saga.saga_id})


class Saga:
    """The ids of a saga."""

    def __init__(self, cart_id: UUID, saga_id: UUID, order_id: UUID | None = None) -> None:
        self.cart_id = cart_id
        self.saga_id = saga_id
        self.order_id = order_id or new_id()
        self.body: dict[str, Any] = {"saga_id": saga_id, "cart_id": cart_id}

    @property
    def order_body(self) -> dict[str, Any]:
        return {"saga_id": self.saga_id, "cart_id": self.cart_id, "order_id": self.order_id, "user_id": USER}

    def path(self, what: str) -> str:
        """Return the path of a step's endpoint."""
        return f"/carts/{self.cart_id}/release" if what == "release" else f"/orders/{self.order_id}/{what}"


def begun(carrito: Carrito, count: int) -> list[Saga]:
    """Begin so many checkouts, each of a cart of its own."""
    return [carrito.saga_of(carrito.open_cart((1, 1), (2, number % 5 + 1))) for number in range(count)]


def order(carrito: Carrito, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return carrito.many(*[("/orders", saga.order_body) for saga in sagas])


def step(carrito: Carrito, what: str, sagas: Sequence[Saga]) -> list[dict[str, Any]]:
    return carrito.many(*[(saga.path(what), {"saga_id": saga.saga_id}) for saga in sagas])
