"""Everything is killed again and again, under checkouts of every kind in both patterns: they all end as they should."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise, product
from typing import Any

import pytest

from shared.testing import wait_until
from tests.e2e.customers import CUSTOMERS, Customers
from tests.e2e.shop import CARRITO, CHOREOGRAPHY, EXECUTOR, INVENTARIO, PAGOS, QUICK, Shop
from tests.system.brokers import OwnBroker

CHECKOUTS = 300  # of each pattern half
LIVES = 3  # of each web process and executor, which are killed at any moment
# Those of events, too; but in their next lives they die by themselves if they get there first, where most can be lost.
WORKERS = (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY)
POINTS = ("before_commit", "before_ack", "before_marking")


@pytest.fixture(scope="module")
def shop_settings(own_rabbitmq: OwnBroker) -> dict[str, Any]:
    return {"rabbitmq_url": own_rabbitmq.create(), "env": QUICK, "copies": {EXECUTOR: 2}}


def test_everything_ends_as_it_should_whatever_is_killed(shop: Shop, own_rabbitmq: OwnBroker) -> None:
    chance = random.Random(1)
    customers = Customers(shop, chance, CHECKOUTS)
    others = [name for name in shop.system.names if not name.endswith("-worker")]
    kills: list[Callable[[], None]] = [partial(shop.restart, name) for name in others * LIVES]
    for service, point in product(WORKERS, POINTS):
        kills.append(partial(shop.restart, f"{service}-worker", FAULT_KILL_AT=f"{service}.worker.{point}#2"))
    chance.shuffle(kills)
    kills.insert(len(kills) // 2, own_rabbitmq.kill)  # it comes back by itself
    parts = [number * CHECKOUTS // len(kills) for number in range(len(kills) + 1)]
    served = []
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        for number, (kill, (start, end)) in enumerate(zip(kills, pairwise(parts), strict=True)):
            served += [pool.submit(customers.insist, wish) for wish in customers.wishes[start:end]]
            wait_until(served[(start + end) // 2].done, "some are served, and others wait")
            kill()
            if number % 3 == 2:
                customers.change_a_mind()
    for each in served:
        each.result()
    shop.mend()
    shop.until_well()
    shop.until_quiet()
    customers.check()
    assert shop.get(CHOREOGRAPHY, "/saga/choreography/dead-letters").body["items"] == []
