"""kill -9 of a service between its commit and its answer, at each endpoint of the saga: a repeat changes nothing."""

from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from shared.http.client import PEER_FAILED
from shared.testing import wait_until
from tests.chaos.answering import ask_while_it_dies, doom, revive
from tests.e2e.shop import (
    CARRITO,
    COMPLETED,
    DECLINED,
    EXECUTOR,
    INVENTARIO,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    SEPARATE,
    SOLD_OUT,
    UNDONE,
    Shop,
    problem,
)

EXECUTORS = (f"{EXECUTOR}-1", f"{EXECUTOR}-2")
RESERVE, UNRESERVE, COMMIT = (f"POST /api/products/{what}" for what in ("reserve", "unreserve", "commit"))
PAY, REFUND = "POST /api/v1/payments/saga", "POST /api/v1/payments/saga/<payment_id>/refund"
RELEASE = "POST /carts/<cart_id>/release"
ORDER, CONFIRM, CANCEL = "POST /orders", "POST /orders/<order_id>/confirm", "POST /orders/<order_id>/cancel"


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"env": {**QUICK, **SEPARATE}, "copies": {EXECUTOR: 2}}


@pytest.mark.parametrize(
    ("service", "endpoint"),
    [
        (INVENTARIO, RESERVE),
        (PAGOS, PAY),
        (CARRITO, ORDER),
        (INVENTARIO, COMMIT),
        (CARRITO, CONFIRM),
    ],
)
def test_a_success_is_completed_when_the_service_is_back(shop: Shop, service: str, endpoint: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    doom(shop, service, endpoint)
    saga_id = shop.begin(cart)
    revive(shop, service)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


@pytest.mark.parametrize(
    ("service", "endpoint"), [(PAGOS, PAY), (PAGOS, REFUND), (INVENTARIO, UNRESERVE), (CARRITO, RELEASE)]
)
def test_a_declined_checkout_is_compensated_when_the_service_is_back(shop: Shop, service: str, endpoint: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    doom(shop, service, endpoint)
    saga_id = shop.begin(cart, "declined_card")
    revive(shop, service)
    assert shop.became(saga_id) == DECLINED
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


def test_a_refusal_that_nobody_heard_stands_though_stock_has_come_in_since(shop: Shop) -> None:
    product = shop.product(quantity=1)
    cart = shop.cart((product, 1))
    assert shop.became(shop.buy(product)) == COMPLETED
    doom(shop, INVENTARIO, RESERVE)
    saga_id = shop.begin(cart)
    shop.system.wait_dead(INVENTARIO)
    for executor in EXECUTORS:
        shop.system.freeze(executor)
    shop.restart(INVENTARIO)
    assert shop.post(INVENTARIO, f"/api/products/{product}/restock", {"quantity": 5}).status == 200
    shop.mend()
    assert shop.became(saga_id) == SOLD_OUT
    assert shop.stock(product) == (5, 0, 1)


@pytest.mark.parametrize(
    ("service", "endpoint"), [(INVENTARIO, UNRESERVE), (CARRITO, CANCEL), (PAGOS, REFUND), (CARRITO, RELEASE)]
)
def test_a_completed_checkout_is_undone_when_the_service_is_back(shop: Shop, service: str, endpoint: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    saga_id = shop.begin(cart)
    assert shop.became(saga_id) == COMPLETED
    doom(shop, service, endpoint)
    assert shop.compensate(saga_id).status == 202
    revive(shop, service)
    assert shop.became(saga_id) == UNDONE
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


def only_saga_of(shop: Shop, cart: str) -> str:
    """Return the only saga that a cart ever had."""
    sagas = wait_until(lambda: shop.sagas(cart_id=cart)["items"], "the cart's saga is there")
    assert len(sagas) == 1
    return str(sagas[0]["saga_id"])


@pytest.mark.parametrize(
    ("way", "service", "endpoint"),
    [
        (CARRITO, CARRITO, "POST /checkout/saga"),
        (CARRITO, CARRITO, "POST /carts/<cart_id>/checkout"),
        (CARRITO, ORCHESTRATOR, "POST /saga/checkout"),
        (ORCHESTRATOR, ORCHESTRATOR, "POST /saga/checkout"),
        (ORCHESTRATOR, CARRITO, "POST /carts/<cart_id>/checkout"),
    ],
)
def test_a_checkout_that_was_begun_ends_though_its_way_in_dies(
    shop: Shop, way: str, service: str, endpoint: str
) -> None:
    """A repeated request under the same key, as from a client without an answer, names the same saga."""
    product, key = shop.product(quantity=10), uuid4().hex
    cart = shop.cart((product, 1))
    ask = partial(shop.checkout, cart, way=way, Idempotency_Key=key)
    ask_while_it_dies(shop, ask, way, service, endpoint)
    saga_id = only_saga_of(shop, cart)
    again = ask()
    assert (again.status, again.body["saga_id"]) == (202, saga_id)
    assert shop.became(saga_id) == COMPLETED
    assert only_saga_of(shop, cart) == saga_id
    assert shop.stock(product) == (9, 0, 1)
    assert problem(shop.checkout(cart, way=way), 409)["saga_id"] == saga_id


@pytest.mark.parametrize("what", ["compensate", "retry"])
def test_what_an_operator_requested_is_done_though_nobody_could_say_so(shop: Shop, what: str) -> None:
    product = shop.product(quantity=10)
    saga_id = shop.buy(product)
    assert shop.became(saga_id) == COMPLETED
    doom(shop, ORCHESTRATOR, f"POST /saga/<saga_id>/{what}")
    with pytest.raises(PEER_FAILED):
        shop.post(ORCHESTRATOR, f"/saga/{saga_id}/{what}")
    revive(shop, ORCHESTRATOR)
    expected = {"compensate": (UNDONE, (10, 0, 0)), "retry": (COMPLETED, (9, 0, 1))}[what]
    shop.until_quiet()
    assert (shop.became(saga_id), shop.stock(product)) == expected
    assert len(shop.timeline(saga_id, kind="compensation_requested")) == (what == "compensate")


def test_holds_that_ended_while_nobody_swept_are_returned_by_the_next_sweeper(shop: Shop) -> None:
    product = shop.product(quantity=10)
    shop.restart(INVENTARIO, HOLD_SECONDS="0.2")
    shop.system.kill("inventario-worker")
    checkout_body = {"cart_id": str(uuid4()), "items": [{"product_id": product, "quantity": 4}]}
    assert shop.post(INVENTARIO, "/api/products/reserve", checkout_body).status == 201
    wait_until(lambda: shop.get(INVENTARIO, "/audit").body["overdue_holds"], "the hold is overdue")
    assert shop.stock(product) == (6, 4, 0)
    shop.restart("inventario-worker")
    wait_until(lambda: shop.stock(product) == (10, 0, 0), "it is returned")
