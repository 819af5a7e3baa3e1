"""Choreographed checkouts with each service's queue in partitions."""

from typing import Any

import pytest

from shared.topology import partition_queue
from tests.e2e.shop import CHOREOGRAPHED, COMPLETED, DECLINED, QUICK, UNDONE, Shop
from tests.system.queues import Queues

PARTITIONS = 3
SERVICES = ("carrito", "inventario", "pagos", "saga_choreography")


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    workers = tuple(f"{service}-worker" for service in SERVICES)
    copies = dict.fromkeys(workers, 2)
    env = {**QUICK, "PARTITIONS": str(PARTITIONS)}
    return {"rabbitmq_url": broker_url, "processes": (*SERVICES, *workers), "copies": copies, "env": env}


def test_checkouts_end_as_without_partitions(shop: Shop, broker_url: str) -> None:
    shelf = shop.product(quantity=100)
    bought = [shop.buy(shelf, style=CHOREOGRAPHED) for _ in range(12)]
    declined = [shop.buy(shelf, method="declined_card", style=CHOREOGRAPHED) for _ in range(4)]
    assert {shop.became(saga) for saga in bought} == {COMPLETED}
    assert {shop.became(saga) for saga in declined} == {DECLINED}
    assert shop.compensate(bought[0]).body["status"] == "compensating"
    shop.until_status(bought[0], "compensated")
    assert shop.became(bought[0]) == UNDONE
    assert shop.stock(shelf) == (89, 0, 11)
    queues = Queues(broker_url)
    named = [partition_queue(service, number) for service in SERVICES for number in range(1, PARTITIONS + 1)]
    assert all(queues.consumers(name) for name in named)
