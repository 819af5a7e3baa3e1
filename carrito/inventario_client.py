"""inventario, as carts need it: what a product is called, costs, and how many there are."""

from pydantic import SecretStr

from carrito.domain import Product
from shared.http.bulkhead import Bulkhead
from shared.http.client import Peer
from shared.money import to_minor


class InventarioClient:
    """inventario's catalogue."""

    def __init__(self, base_url: str, service_token: SecretStr | None, places: int) -> None:
        """At most `places` requests wait for its answers at once; the others' threads stay free for other requests."""
        self._inventario = Peer("inventario", base_url, service_token)
        self._bulkhead = Bulkhead("inventario", places)

    def get_product(self, product_id: int) -> Product:
        """One product; raises `PeerRefused` (no such product) or one of `PEER_FAILED`."""
        with self._bulkhead.enter():
            body = self._inventario.get(f"/api/products/{product_id}").success_body()
        return Product(body["id"], body["name"], to_minor(body["price"]), body["available"])
