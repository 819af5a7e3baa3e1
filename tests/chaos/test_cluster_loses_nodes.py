"""A RabbitMQ cluster of three nodes loses one, and then another: no choreographed checkout is lost or doubled."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from shared.testing import wait_until
from stack import rabbitmq
from stack.errors import StackError
from tests.e2e.shop import CHOREOGRAPHED, COMPLETED, QUICK, UNHURRIED, Shop
from tests.system.brokers import needs_rabbitmq
from tests.system.rabbitmq_cluster import SIZE, RabbitMQCluster

pytestmark = needs_rabbitmq

SERVICES = ("carrito", "inventario", "pagos", "saga_choreography")
PROCESSES = (*SERVICES, *(f"{service}-worker" for service in SERVICES))
QUEUES = {*SERVICES, *(f"{service}.dead" for service in SERVICES)}
LOAD, CUSTOMERS, STOCK = 40, 6, 200


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQCluster]:
    try:
        rabbitmq.provide()
    except StackError as error:
        pytest.skip(str(error))
    cluster = RabbitMQCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
    assert cluster.processes() == set()


@pytest.fixture(scope="module")
def shop_settings(cluster: RabbitMQCluster) -> dict[str, Any]:
    return {
        "rabbitmq_url": cluster.url,
        "processes": PROCESSES,
        "env": {**QUICK, "QUEUE_REPLICAS": str(SIZE), **UNHURRIED},
    }


def leader(cluster: RabbitMQCluster, without: str = "") -> str:
    """The node that leads most queues, of all or of all but one."""
    leaders = Counter[str](queue["leader"] for queue in cluster.queues() if queue["leader"] != without)
    return leaders.most_common(1)[0][0]


def test_no_checkout_is_lost_or_doubled_when_one_node_is_killed_and_another_freezes(
    shop: Shop, cluster: RabbitMQCluster
) -> None:
    """Each time in mid-load; the nodes join again. A frozen one is started again, as an operator would do it."""
    wait_until(lambda: {queue["name"] for queue in cluster.queues()} == QUEUES, "workers have declared all")
    cluster.wait_whole()
    assert all(set(queue["members"]) == cluster.nodes.keys() for queue in cluster.queues())
    shelf = shop.product(quantity=STOCK)
    carts = [shop.cart((shelf, 1)) for _ in range(2 * LOAD)]
    sagas: list[Future[str]] = []
    with ThreadPoolExecutor(CUSTOMERS) as customers:

        def load(some: list[str]) -> None:
            """Begin these checkouts; returns when a part of them is accepted."""
            begun = [customers.submit(shop.insist, cart, style=CHOREOGRAPHED) for cart in some]
            sagas.extend(begun)
            wait_until(begun[LOAD // 4].done, "there is load")

        load(carts[:LOAD])
        killed = leader(cluster)
        cluster.kill(killed)
        assert {shop.became(saga.result()) for saga in sagas} == {COMPLETED}, "without the node"
        cluster.start_node(killed)
        cluster.wait_whole()

        load(carts[LOAD:])
        frozen = leader(cluster, without=killed)
        cluster.freeze(frozen)
        assert {shop.became(saga.result()) for saga in sagas} == {COMPLETED}, "while it is frozen"
        cluster.restart(frozen)
        cluster.wait_whole()
    assert shop.stock(shelf) == (STOCK - 2 * LOAD, 0, 2 * LOAD)
    shop.until_well()


def test_all_that_the_nodes_listen_on_is_on_loopback(cluster: RabbitMQCluster) -> None:
    listeners = cluster.listeners()
    assert len(listeners) >= 3 * SIZE + 1, "for clients, management and each other, and the port mapper"
    assert all(listeners.values()), listeners
