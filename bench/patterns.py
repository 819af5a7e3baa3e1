"""The ways to check a cart out: each returns when the checkout has ended, and raises when it ended otherwise than told.

The baseline makes the same four calls in order, and nothing else: nobody would finish or undo what it left half done.
"""

import time
from collections.abc import Callable

from bench.client import Client, Json, Reply, UnexpectedAnswer
from bench.wishes import Wish

WAIT = {"Prefer": "wait=30"}
POLL_SECONDS = 0.02  # where a service has no place to wait for its answer
MOST_SECONDS = 90  # beyond the deadline after which a saga turns back
ENDED = ("completed", "compensated")

Way = Callable[[Client, Wish], None]


def baseline(client: Client, wish: Wish) -> None:
    """Reserve, pay, order, commit; a declined payment ends it after two calls."""
    ids = {"saga_id": wish.saga_id, "cart_id": wish.cart_id}
    items = [{"product_id": wish.product_id, "quantity": wish.quantity}]
    client.post("inventario", "/api/products/reserve", {**ids, "items": items}, 201)
    payment = {**ids, "user_id": wish.user_id, "amount": wish.total, "payment_method": wish.payment_method}
    paid = client.post("pagos", "/api/v1/payments/saga", {**payment, "payment_id": wish.payment_id}, 201, 402)
    if (paid.status == 402) != wish.declined:
        raise UnexpectedAnswer(f"{wish.payment_method} was answered {paid.status}")
    if wish.declined:
        return
    order = {"order_id": wish.order_id, "user_id": wish.user_id, "payment_id": wish.payment_id}
    client.post("carrito", "/orders", {**ids, **order, "billing_address": wish.billing_address}, 201)
    client.post("inventario", "/api/products/commit", ids, 200)


def orchestrated(client: Client, wish: Wish) -> None:
    """One request to the orchestrator, answered at the end."""
    _saga(client, wish, "saga_orchestrator", "/saga/checkout")


def choreographed(client: Client, wish: Wish) -> None:
    """One request to the choreography's way in, answered at the end."""
    _saga(client, wish, "saga_choreography", "/saga/choreography/checkout")


# By name, with the service that the way needs beside the participants.
PATTERNS: dict[str, tuple[Way, str | None]] = {
    "baseline": (baseline, None),
    "orchestrated": (orchestrated, "saga_orchestrator"),
    "choreographed": (choreographed, "saga_choreography"),
}


def _saga(client: Client, wish: Wish, service: str, path: str) -> None:
    body = {
        "cart_id": wish.cart_id,
        "user_id": wish.user_id,
        "payment_method": wish.payment_method,
        "billing_address": wish.billing_address,
    }
    saga = _ended(client, service, client.post(service, path, body, 200, 202, headers=WAIT))
    expected = "compensated" if wish.declined else "completed"
    if saga["status"] != expected:
        raise UnexpectedAnswer(f"saga {saga['saga_id']} should be {expected}, and is {saga['status']}")


def _ended(client: Client, service: str, reply: Reply) -> Json:
    """The saga, once it has ended; asks again and again when the preference to wait was not honoured."""
    location, until = reply.headers["Location"], time.monotonic() + MOST_SECONDS
    while reply.body["status"] not in ENDED:
        if time.monotonic() > until:
            raise UnexpectedAnswer(f"saga {reply.body['saga_id']} is still {reply.body['status']}")
        time.sleep(POLL_SECONDS)
        reply = client.get(service, location)
    return reply.body
