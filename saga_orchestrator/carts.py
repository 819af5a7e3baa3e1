"""carrito, as the way in needs it: it freezes the cart, names the saga, and refuses what can't be checked out."""

from uuid import UUID

from saga_orchestrator.domain import Checkout
from saga_orchestrator.orchestrator import frozen_cart
from saga_orchestrator.schemas import CheckoutIn
from shared.http_client import Peer
from shared.relay import relayed


class Carts:
    """carrito's part in the beginning of a checkout."""

    def __init__(self, base_url: str) -> None:
        self._carrito = Peer("carrito", base_url)

    def begin_checkout(self, body: CheckoutIn, idempotency_key: str | None) -> Checkout:
        """The frozen checkout under the saga's id; repeated under a key, the same one.

        Raises `Relayed` with carrito's own answer when it refuses, one of `PEER_FAILED` when there is none.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        wish = {**body.model_dump(exclude={"cart_id", "saga_id"}), "saga_pattern": "orchestrated"}
        reply = self._carrito.post(f"/carts/{body.cart_id}/checkout", wish, headers)
        cart = relayed(reply)
        return frozen_cart(body.command(UUID(cart["saga_id"])), cart)
