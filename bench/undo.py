"""What baseline checkouts did is undone after their round, off the clock: no saga stands behind it, and the books would
not balance."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.client import Client
from bench.wishes import Wish


def undo(wishes: Sequence[Wish], clients: Sequence[Client]) -> None:
    """Cancel, refund, give back and release, as a saga would; whatever of it was done."""

    def each(client: Client, first: int) -> None:
        for wish in wishes[first :: len(clients)]:
            _undo(client, wish)

    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(each, clients, range(len(clients))))


def _undo(client: Client, wish: Wish) -> None:
    ids = {"saga_id": wish.saga_id}
    client.post("carrito", f"/orders/{wish.order_id}/cancel", ids, 200)
    client.post("pagos", f"/api/v1/payments/saga/{wish.payment_id}/refund", ids, 200)
    client.post("inventario", "/api/products/unreserve", {**ids, "cart_id": wish.cart_id}, 200)
    client.post("carrito", f"/carts/{wish.cart_id}/release", ids, 200)
