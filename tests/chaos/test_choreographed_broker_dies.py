"""The broker is away, or is killed: choreographed checkouts are accepted, and end when it is back."""

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from shared.testing import wait_until
from tests.e2e.shop import CARRITO, CHOREOGRAPHED, CHOREOGRAPHY, COMPLETED, DECLINED, QUICK, UNDONE, Shop
from tests.system.brokers import OwnBroker

LOAD, CUSTOMERS, STOCK = 60, 6, 100


@pytest.fixture(scope="module")
def shop_settings(own_rabbitmq: OwnBroker) -> dict[str, Any]:
    return {"rabbitmq_url": own_rabbitmq.create(), "env": QUICK}


def test_what_is_requested_while_the_broker_is_away_is_done_when_it_is_back(
    shop: Shop, own_rabbitmq: OwnBroker
) -> None:
    """Checkouts at either way in, and the compensation of a completed one."""
    shelf = shop.product(quantity=10)
    undone = shop.buy(shelf, style=CHOREOGRAPHED)
    assert shop.became(undone) == COMPLETED
    carts = [shop.cart((shelf, 1)) for _ in range(4)]
    own_rabbitmq.stop()
    assert shop.compensate(undone).body["status"] == "compensating"
    begun = [
        shop.begin(cart, method, way, CHOREOGRAPHED)
        for cart, (method, way) in zip(
            carts, product(["paypal", "declined_card"], [CARRITO, CHOREOGRAPHY]), strict=True
        )
    ]
    assert {shop.saga(saga_id)["status"] for saga_id in begun} == {"pending"}
    assert [shop.cart_as_it_is(cart)["saga_id"] for cart in carts] == begun
    own_rabbitmq.start()
    assert [shop.became(saga_id) for saga_id in begun] == [COMPLETED, COMPLETED, DECLINED, DECLINED]
    assert shop.became(undone) == UNDONE
    assert shop.stock(shelf) == (8, 0, 2)
    shop.until_well()


def test_no_checkout_is_lost_or_doubled_when_the_broker_is_killed_under_load(
    shop: Shop, own_rabbitmq: OwnBroker
) -> None:
    shelf = shop.product(quantity=STOCK)
    carts = [shop.cart((shelf, 1)) for _ in range(LOAD)]
    with ThreadPoolExecutor(CUSTOMERS) as customers:
        sagas: list[Future[str]] = []
        for half in (carts[: LOAD // 2], carts[LOAD // 2 :]):
            some = [customers.submit(shop.insist, cart, style=CHOREOGRAPHED) for cart in half]
            sagas += some
            wait_until(some[LOAD // 4].done, "there is load")
            own_rabbitmq.kill()
            own_rabbitmq.start()
            assert shop.became(some[0].result()) == COMPLETED
    assert {shop.became(saga.result()) for saga in sagas} == {COMPLETED}
    assert shop.stock(shelf) == (STOCK - LOAD, 0, LOAD)
    shop.until_well()
