"""Fakes of carrito, as saga_choreography calls it."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from shared.http.client import PeerRefused
from shared.ids import new_id
from shared.saga.frozen import FrozenCart, FrozenCheckout
from shared.saga.setup import EXTENSION
from shared.saga.views import CheckoutIn
from tests.integration.choreography_client import Window


class FrozenCarts:
    """Freezes a cart for one saga; under the same key, it names the same saga again."""

    def __init__(self, open_cart: UUID) -> None:
        self._open = open_cart
        self._sagas: dict[str | None, UUID] = {}

    def begin_checkout(self, body: CheckoutIn, key: str | None, trace: str | None) -> FrozenCheckout:
        del trace
        if body.cart_id != self._open or (self._sagas and key not in self._sagas):
            raise PeerRefused(
                {"type": "/problems/cart-not-open", "title": "no", "status": 409, "detail": "it is not open"}
            )
        return frozen(body, self._sagas.setdefault(key, new_id()))


class AnyCheckout:
    """Finds a checkout equal to any request."""

    def find_checkout(self, body: CheckoutIn, saga_id: UUID) -> FrozenCheckout:
        return frozen(body, saga_id)


class NoCheckout:
    """Has accepted no checkout."""

    def checkout_of(self, saga_id: UUID) -> None:
        """Find none."""


def frozen(body: CheckoutIn, saga_id: UUID) -> FrozenCheckout:
    return FrozenCheckout(body, FrozenCart(saga_id, (), 0, "EUR", {}), None)


def freeze_by(window: Window, carrito: Any) -> None:
    """Replace the service's client of carrito by this fake."""
    extensions = window.client.application.extensions
    extensions[EXTENSION] = replace(extensions[EXTENSION], carrito=carrito)


def checkout_body(cart_id: UUID, **more: Any) -> dict[str, Any]:
    return {"cart_id": cart_id, "user_id": "ana", "payment_method": "paypal", "billing_address": "here", **more}
