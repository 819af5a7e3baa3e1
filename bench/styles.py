"""The ways to check a cart out. Each returns when the checkout has ended, and raises when it ended unexpectedly.

The baseline makes the same four calls in order, and nothing else: nothing would finish or compensate a failed one.
DBOS makes them as durable steps: it would finish a failed one. Neither is a saga: their effects are undone later.
"""

import time
from collections.abc import Callable

from bench.checkouts import Checkout
from bench.client import Client, Json, Reply, UnexpectedAnswer

WAIT = {"Prefer": "wait=30"}
POLL_SECONDS = 0.02  # between two requests, when a service has no free place to wait
MOST_SECONDS = 90  # beyond the deadline after which a saga turns back
ENDED = ("completed", "compensated")

DBOS = "dbos"  # its name among the services' URLs
TEMPORAL = "temporal"  # the orchestrator whose sagas run on Temporal, among the services' URLs

Way = Callable[[Client, Checkout], None]


def bodies(checkout: Checkout) -> dict[str, Json]:
    """Return the body of each of the four calls."""
    ids = {"saga_id": checkout.saga_id, "cart_id": checkout.cart_id}
    items = [{"product_id": checkout.product_id, "quantity": checkout.quantity}]
    payment = {"payment_id": checkout.payment_id, "user_id": checkout.user_id, "amount": checkout.total}
    order = {"order_id": checkout.order_id, "user_id": checkout.user_id, "payment_id": checkout.payment_id}
    return {
        "reserve": {**ids, "items": items},
        "pay": {**ids, **payment, "payment_method": checkout.payment_method},
        "order": {**ids, **order, "billing_address": checkout.billing_address},
        "commit": ids,
    }


def baseline(client: Client, checkout: Checkout) -> None:
    """Reserve, pay, order, commit; a declined payment ends the checkout after two calls."""
    body = bodies(checkout)
    client.post("inventario", "/api/products/reserve", body["reserve"], 201)
    paid = client.post("pagos", "/api/v1/payments/saga", body["pay"], 201, 402)
    if (paid.status == 402) != checkout.declined:
        raise UnexpectedAnswer(f"{checkout.payment_method} was answered {paid.status}")
    if checkout.declined:
        return
    client.post("carrito", "/orders", body["order"], 201)
    client.post("inventario", "/api/products/commit", body["commit"], 200)


def dbos(client: Client, checkout: Checkout) -> None:
    """Send one request to DBOS, which makes the four calls and answers at the end."""
    body = {"saga_id": checkout.saga_id, "bodies": bodies(checkout)}
    status = client.post(DBOS, "/checkouts", body, 200).body["status"]
    if (status == "declined") != checkout.declined:
        raise UnexpectedAnswer(f"{checkout.payment_method} ended {status}")


def orchestrated(client: Client, checkout: Checkout) -> None:
    """Send one request to the orchestrator, which answers at the end."""
    _saga(client, checkout, "saga_orchestrator", "/saga/checkout")


def temporal(client: Client, checkout: Checkout) -> None:
    """Send one request to the orchestrator whose sagas run on Temporal."""
    _saga(client, checkout, TEMPORAL, "/saga/checkout")


def choreographed(client: Client, checkout: Checkout) -> None:
    """Send one request to saga_choreography, which answers at the end."""
    _saga(client, checkout, "saga_choreography", "/saga/choreography/checkout")


NO_SAGAS = {"baseline", "dbos"}

# By name, with the service that the way needs in addition to the participants.
STYLES: dict[str, tuple[Way, str | None]] = {
    "baseline": (baseline, None),
    "dbos": (dbos, DBOS),
    "orchestrated": (orchestrated, "saga_orchestrator"),
    "temporal": (temporal, TEMPORAL),
    "choreographed": (choreographed, "saga_choreography"),
}


def _saga(client: Client, checkout: Checkout, service: str, path: str) -> None:
    body = {
        "cart_id": checkout.cart_id,
        "user_id": checkout.user_id,
        "payment_method": checkout.payment_method,
        "billing_address": checkout.billing_address,
    }
    saga = _ended(client, service, client.post(service, path, body, 200, 202, headers=WAIT))
    expected = "compensated" if checkout.declined else "completed"
    if saga["status"] != expected:
        raise UnexpectedAnswer(f"saga {saga['saga_id']} should be {expected}, and is {saga['status']}")


def _ended(client: Client, service: str, reply: Reply) -> Json:
    """Return the saga when it has ended; polls when the service did not wait."""
    location, until = reply.headers["Location"], time.monotonic() + MOST_SECONDS
    while reply.body["status"] not in ENDED:
        if time.monotonic() > until:
            raise UnexpectedAnswer(f"saga {reply.body['saga_id']} is still {reply.body['status']}")
        time.sleep(POLL_SECONDS)
        reply = client.get(service, location)
    return reply.body
