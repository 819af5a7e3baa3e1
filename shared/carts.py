"""carrito, as the way into a saga needs it: it freezes the cart, names the saga, refuses what can't be checked out."""

from collections.abc import Mapping
from typing import Any

from shared.http_client import Peer
from shared.relay import relayed
from shared.saga_views import CheckoutIn


class Carts:
    """carrito's part in the beginning of a checkout."""

    def __init__(self, base_url: str, saga_pattern: str) -> None:
        self._carrito = Peer("carrito", base_url)
        self._saga_pattern = saga_pattern

    def begin_checkout(self, body: CheckoutIn, idempotency_key: str | None) -> Mapping[str, Any]:
        """The cart, frozen for the saga that it names; repeated under a key, the same one.

        Raises `Relayed` with carrito's own answer when it refuses, one of `PEER_FAILED` when there is none.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        wish = {**body.model_dump(exclude={"cart_id", "saga_id"}), "saga_pattern": self._saga_pattern}
        return relayed(self._carrito.post(f"/carts/{body.cart_id}/checkout", wish, headers))
