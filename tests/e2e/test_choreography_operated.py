"""saga_choreography as operators use it; checkouts do not need it."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from shared.event_bus import CHOREOGRAPHY
from shared.http.client import Reply
from shared.testing import wait_until
from tests.e2e.shop import CARRITO, HANG_SECONDS, Shop, steps_of

ROOT = "/saga/choreography"
WORKERS = ("carrito-worker", "inventario-worker", "pagos-worker", "saga_choreography-worker")
CHOREOGRAPHED = ("carrito", "inventario", "pagos", "saga_choreography", *WORKERS)
WHOLE = [
    "checkout.initiated",
    "inventory.reserve.requested",
    "inventory.reserved",
    "payment.requested",
    "payment.processed",
    "order.create.requested",
    "order.created",
    "inventory.commit.requested",
    "inventory.committed",
    "checkout.completed",
]


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    return {"rabbitmq_url": broker_url, "processes": CHOREOGRAPHED}


def saga(shop: Shop, saga_id: str) -> Mapping[str, Any]:
    reply = shop.get(CHOREOGRAPHY, f"{ROOT}/{saga_id}")
    assert reply.status == 200, reply.body
    return reply.body


def until(shop: Shop, saga_id: str, status: str) -> Mapping[str, Any]:
    wait_until(lambda: shop.get(CHOREOGRAPHY, f"{ROOT}/{saga_id}").body.get("status") == status, status, HANG_SECONDS)
    return saga(shop, saga_id)


def timeline(shop: Shop, saga_id: str) -> list[Mapping[str, Any]]:
    items: list[Mapping[str, Any]] = shop.get(CHOREOGRAPHY, f"{ROOT}/{saga_id}/timeline").body["items"]
    return items


def checkout(shop: Shop, product: int, **headers: str) -> Reply:
    return shop.post(CHOREOGRAPHY, f"{ROOT}/checkout", shop.checkout_body(shop.cart((product, 1))), **headers)


def execute(shop: Shop, statement: str) -> None:
    engine = create_engine(shop.database_url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_poison_message_that_is_redriven_once_its_cause_is_gone_completes_its_saga(shop: Shop) -> None:
    execute(shop, "ALTER TABLE carrito.orders RENAME TO orders_away")
    saga_id = str(checkout(shop, shop.product()).body["saga_id"])

    def letters() -> list[Mapping[str, Any]]:
        items: list[Mapping[str, Any]] = shop.get(CHOREOGRAPHY, f"{ROOT}/dead-letters?service=carrito").body["items"]
        return items

    (letter,) = wait_until(letters, "it is parked", HANG_SECONDS)
    assert (letter["event"], letter["saga_id"]) == ("payment.processed", saga_id)
    assert "orders" in letter["error"]
    assert steps_of(saga(shop, saga_id))["create_order"] == "running"
    execute(shop, "ALTER TABLE carrito.orders_away RENAME TO orders")
    checkout_body = {"reason": "the table is back", "by": "eve", "event_ids": [letter["event_id"]]}
    assert shop.post(CHOREOGRAPHY, f"{ROOT}/dead-letters/redrive", checkout_body).body["moved"][0]["saga_id"] == saga_id
    until(shop, saga_id, "completed")
    assert [entry["detail"] for entry in timeline(shop, saga_id) if entry["kind"] == "redriven"] == [
        "payment.processed to carrito: the table is back"
    ]
    assert letters() == []


def test_a_completed_checkout_is_undone_in_full_and_can_be_made_again(shop: Shop) -> None:
    product = shop.product(quantity=5)
    done = checkout(shop, product, Prefer="wait=20")
    assert (done.status, done.body["status"]) == (200, "completed")
    assert [entry["event"] for entry in timeline(shop, done.body["saga_id"])] == WHOLE
    checkout_body = {"reason": "changed my mind", "by": "eve"}
    undone = shop.post(CHOREOGRAPHY, f"{ROOT}/{done.body['saga_id']}/compensate", checkout_body, Prefer="wait=20").body
    assert (undone["status"], undone["error"]) == ("compensated", "changed my mind")
    assert set(steps_of(undone).values()) == {"compensated"}
    assert shop.stock(product) == (5, 0, 0)
    assert shop.cart_as_it_is(done.body["cart_id"])["status"] == "open"


def test_nobody_has_to_look_for_a_checkout_to_end(shop: Shop) -> None:
    """saga_choreography is killed as soon as the checkout has begun, and shows all of it after its restart."""
    product = shop.product(quantity=5)
    cart = shop.cart((product, 1))
    for process in (CHOREOGRAPHY, f"{CHOREOGRAPHY}-worker"):
        shop.system.kill(process)
    checkout_body = {**shop.checkout_body(cart), "saga_pattern": "choreographed"}
    accepted = shop.post(CARRITO, "/checkout/saga", checkout_body)
    assert accepted.status == 202, accepted.body
    wait_until(lambda: shop.cart_as_it_is(cart)["status"] == "checked_out", "the checkout ends", HANG_SECONDS)
    assert shop.stock(product) == (4, 0, 1)
    for process in (CHOREOGRAPHY, f"{CHOREOGRAPHY}-worker"):
        shop.restart(process)
    until(shop, accepted.body["saga_id"], "completed")
    assert [entry["event"] for entry in timeline(shop, accepted.body["saga_id"])] == WHOLE


def test_a_checkout_that_takes_too_long_is_turned_back_and_shown_as_stuck_if_it_cannot(shop: Shop) -> None:
    """pagos's worker is killed, so there is neither payment nor refund; after its restart it may handle both."""
    product = shop.product(quantity=5)
    times = {"FORWARD_DEADLINE_SECONDS": "0.5", "STUCK_SECONDS": "1"}
    for process in (CHOREOGRAPHY, f"{CHOREOGRAPHY}-worker"):
        shop.restart(process, **times)
    shop.system.kill("pagos-worker")
    saga_id = str(checkout(shop, product).body["saga_id"])
    stuck = until(shop, saga_id, "stuck")
    assert stuck["error"] == "not completed within 0.5 s"
    assert [entry["by"] for entry in timeline(shop, saga_id) if entry["event"] == "checkout.cancel.requested"] == [
        "watchdog"
    ]
    shop.restart("pagos-worker")
    assert steps_of(until(shop, saga_id, "compensated"))["process_payment"] in {"skipped", "compensated"}
    assert shop.stock(product) == (5, 0, 0)
