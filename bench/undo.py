"""Compensates, after their round, the steps of checkouts that were no sagas: the baseline's and DBOS's.

Without this the audit would find sales, payments and orders that belong to no saga.
"""

from collections.abc import Sequence

from bench.checkouts import Checkout
from bench.client import Client, Json, UnexpectedAnswer

TOGETHER = 100  # the most commands that a service takes in one request


def undo(checkouts: Sequence[Checkout], client: Client) -> None:
    """Cancel orders, refund payments, return stock and release carts, as a saga would."""
    for first in range(0, len(checkouts), TOGETHER):
        some = checkouts[first : first + TOGETHER]
        _command(client, "carrito", [_of_saga(each, f"/orders/{each.order_id}/cancel") for each in some])
        _command(
            client,
            "pagos",
            [_of_saga(each, f"/api/v1/payments/saga/{each.payment_id}/refund") for each in some],
        )
        _command(
            client,
            "inventario",
            [_of_saga(each, "/api/products/unreserve", cart_id=each.cart_id) for each in some],
        )
        # The cart of such a checkout is frozen by its order, which a declined checkout does not have.
        ordered = [each for each in some if not each.declined]
        _command(client, "carrito", [_of_saga(each, f"/carts/{each.cart_id}/release") for each in ordered])


def _of_saga(checkout: Checkout, path: str, **fields: str) -> Json:
    return {"path": path, "body": {"saga_id": checkout.saga_id, **fields}}


def _command(client: Client, service: str, commands: Sequence[Json]) -> None:
    if not commands:
        return
    outcomes = client.post(service, "/saga-commands", {"commands": commands}, 200).body["outcomes"]
    for command, outcome in zip(commands, outcomes, strict=True):
        if outcome["status"] != 200:
            raise UnexpectedAnswer(f"{service}{command['path']} was answered {outcome}")
