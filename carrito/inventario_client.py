"""HTTP client of inventario, for the name, price and available quantity of a product."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, SecretStr

from carrito.domain import Product
from shared.http.bulkhead import Bulkhead
from shared.http.client import Peer
from shared.money import to_minor


class ProductAnswer(BaseModel):
    """What carrito reads of inventario's answer."""

    id: int
    name: str
    price: Annotated[int, BeforeValidator(to_minor)]
    available: int


class InventarioClient:
    """Reads products from inventario."""

    def __init__(self, base_url: str, service_token: SecretStr | None, places: int) -> None:
        """At most `places` threads wait for its answers at once; the others stay free for other requests."""
        self._inventario = Peer("inventario", base_url, service_token)
        self._bulkhead = Bulkhead("inventario", places)

    def get_product(self, product_id: int) -> Product:
        """Return a product; raises `PeerRefused` (no such product) or one of `PEER_FAILED`."""
        with self._bulkhead.enter():
            answer = self._inventario.get(f"/api/products/{product_id}").success(ProductAnswer)
        return Product(answer.id, answer.name, answer.price, answer.available)
