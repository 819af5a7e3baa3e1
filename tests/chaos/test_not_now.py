"""Servers that are unavailable for a time, under load in both styles: nothing is lost, and /health gives the reason.

No process ends. PostgreSQL is read-only, frozen, out of connections, its disk full, its connections killed; RabbitMQ
has an alarm.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import make_url

from shared.http.client import PEER_FAILED, Reply
from shared.testing import wait_until
from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    COMPLETED,
    INVENTARIO,
    ORCHESTRATED,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    USER,
    Shop,
)
from tests.system.brokers import OwnBroker
from tests.system.own_postgres import OwnPostgres, databases, own_postgres

__all__ = ["databases", "own_postgres"]

SECONDS = 10  # of each fault: longer than all quick retries, the tries of an event, and an executor's lease
CUSTOMERS, STOCK = 3, 1000  # in each style
SERVICES = (CARRITO, INVENTARIO, PAGOS, ORCHESTRATOR, CHOREOGRAPHY)
ANSWERED_SECONDS = 60  # for any answer; a request that takes longer would hang for ever


@pytest.fixture(scope="module")
def shop_settings(own_rabbitmq: OwnBroker) -> dict[str, Any]:
    env = {**QUICK, "FORWARD_DEADLINE_SECONDS": "120"}
    return {"rabbitmq_url": own_rabbitmq.create(), "env": env}


class Load:
    """Customers who buy one product after the other, and repeat requests, until they are stopped."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.shelf = shop.product(quantity=STOCK)
        self.sagas: list[str] = []
        self._stop = threading.Event()

    def buy(self, style: str) -> None:
        while not self._stop.is_set():
            try:
                cart = self._shop.cart((self.shelf, 1))
            except (AssertionError, *PEER_FAILED):  # unavailable now
                continue
            self.sagas.append(self._shop.insist(cart, style=style))

    def stop(self) -> None:
        self._stop.set()

    def check(self) -> None:
        """Check that each purchase was done once."""
        self._shop.until_well()
        assert {self._shop.became(saga_id) for saga_id in self.sagas} == {COMPLETED}
        assert self._shop.stock(self.shelf) == (STOCK - len(self.sagas), 0, len(self.sagas))
        dead = self._shop.get(CHOREOGRAPHY, "/saga/choreography/dead-letters").body["items"]
        assert dead == []


@contextmanager
def load(shop: Shop) -> Iterator[Load]:
    """Run customers during the test; at the end each purchase was done, and every process runs without a restart."""
    customers = Load(shop)
    with ThreadPoolExecutor(2 * CUSTOMERS) as pool:
        styles = (ORCHESTRATED, CHOREOGRAPHED) * CUSTOMERS
        buying = [pool.submit(customers.buy, style) for style in styles]
        try:
            wait_until(lambda: len(customers.sagas) >= len(styles), "there is load", 60)
            yield customers
            some = len(customers.sagas) + len(styles)
            wait_until(lambda: len(customers.sagas) >= some, "there is load again", 120)
        finally:
            customers.stop()
        for each in buying:
            each.result()
    customers.check()
    assert [name for name in shop.system.names if not shop.system.alive(name)] == []


def ask(call: Callable[[], Reply]) -> Reply:
    """Return the status of any answer; 0 without one."""
    try:
        return call()
    except PEER_FAILED:
        return Reply(0, {}, {})


def last(shop: Shop, why: str) -> None:
    """Check for so many seconds that every service gives the reason, and answers writes with 503 (or in doubt)."""
    until = time.monotonic() + SECONDS
    for service in SERVICES:
        wait_until(partial(_unwell, shop, service, why), f"{service} says {why}", ANSWERED_SECONDS)
    refused = 0
    while time.monotonic() < until or not refused:
        reply = ask(lambda: shop.post(CARRITO, "/carts", {"user_id": USER}))
        if reply.status >= 400:
            assert (reply.status in {503, 504}, reply.headers.get("Retry-After")) == (True, "1"), reply
            refused += 1
        else:
            assert reply.status == 201


def _unwell(shop: Shop, service: str, why: str) -> bool:
    reply = ask(lambda: shop.get(service, "/health"))
    return reply.status == 503 and why in str(reply.body["detail"])


def database_of(shop: Shop) -> str:
    return str(make_url(shop.database_url).database)


def test_a_database_that_is_read_only_for_a_while(shop: Shop, own_postgres: OwnPostgres) -> None:
    database = database_of(shop)
    with load(shop):
        own_postgres.ask(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
        own_postgres.cut_off(database)
        last(shop, "read-only")
        own_postgres.ask(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')


def test_a_database_that_is_frozen(shop: Shop, own_postgres: OwnPostgres) -> None:
    with load(shop), own_postgres.frozen():
        last(shop, "database: ")


def test_every_connection_to_the_database_killed_again_and_again(shop: Shop, own_postgres: OwnPostgres) -> None:
    database = database_of(shop)
    with load(shop):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            own_postgres.cut_off(database)


def test_a_database_without_a_connection_left(shop: Shop, own_postgres: OwnPostgres) -> None:
    database = database_of(shop)
    with load(shop):
        own_postgres.ask(f'ALTER DATABASE "{database}" CONNECTION LIMIT 0')
        own_postgres.cut_off(database)
        last(shop, "too many connections")
        own_postgres.ask(f'ALTER DATABASE "{database}" CONNECTION LIMIT -1')


def test_a_database_whose_disk_is_full(shop: Shop, own_postgres: OwnPostgres) -> None:
    with own_postgres.on_small_disk(database_of(shop)) as disk:
        shop.until_well()
        with load(shop):
            disk.fill()
            last(shop, "No space left on device")
            disk.free()


def test_a_broker_whose_disk_is_full(shop: Shop, own_rabbitmq: OwnBroker) -> None:
    """Checkouts are accepted; the choreographed ones continue when there is space again."""
    with load(shop):
        own_rabbitmq.control("set_disk_free_limit", "1000000GB")
        try:
            for service in (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY):
                wait_until(partial(_unwell, shop, service, "takes no messages"), f"{service} says so", ANSWERED_SECONDS)
            assert shop.get(ORCHESTRATOR, "/health").status == 200
        finally:
            own_rabbitmq.control("set_disk_free_limit", "1MB")
