"""What baseline checkouts did is undone after their round, off the clock: no saga stands behind them.

Without it the books would not balance: goods would be sold that nobody ordered by a saga.
"""

from collections.abc import Sequence

from bench.client import Client, Json, UnexpectedAnswer
from bench.wishes import Wish

TOGETHER = 100  # the most commands that a service takes in one request


def undo(wishes: Sequence[Wish], client: Client) -> None:
    """Cancel, refund, give back and release, as a saga would; whatever of it was done."""
    for first in range(0, len(wishes), TOGETHER):
        some = wishes[first : first + TOGETHER]
        _command(client, "carrito", [_of_saga(wish, f"/orders/{wish.order_id}/cancel") for wish in some])
        _command(client, "pagos", [_of_saga(wish, f"/api/v1/payments/saga/{wish.payment_id}/refund") for wish in some])
        _command(
            client, "inventario", [_of_saga(wish, "/api/products/unreserve", cart_id=wish.cart_id) for wish in some]
        )
        # A declined one never came to its order, which is what freezes the cart of a baseline checkout.
        ordered = [wish for wish in some if not wish.declined]
        _command(client, "carrito", [_of_saga(wish, f"/carts/{wish.cart_id}/release") for wish in ordered])


def _of_saga(wish: Wish, path: str, **fields: str) -> Json:
    return {"path": path, "body": {"saga_id": wish.saga_id, **fields}}


def _command(client: Client, service: str, commands: Sequence[Json]) -> None:
    if not commands:
        return
    outcomes = client.post(service, "/saga-commands", {"commands": commands}, 200).body["outcomes"]
    for command, outcome in zip(commands, outcomes, strict=True):
        if outcome["status"] != 200:
            raise UnexpectedAnswer(f"{service}{command['path']} was answered {outcome}")
