"""SIGTERM, as in a deployment: a process accepts nothing new, and finishes or hands back what it has begun."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from shared.http.client import Reply
from shared.testing import wait_until
from tests.e2e.shop import (
    CARRITO,
    COMPLETED,
    EXECUTOR,
    INVENTARIO,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    SEPARATE,
    Shop,
    attempts_of,
)

STOPPED, OTHER = f"{EXECUTOR}-1", f"{EXECUTOR}-2"


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """Leases are too long to wait for their end."""
    env = {**QUICK, **SEPARATE, "LEASE_SECONDS": "600", "CALL_SECONDS": "20", "HANDOVER_SECONDS": "1"}
    return {"env": env, "copies": {EXECUTOR: 2}}


@contextmanager
def stopping(shop: Shop, name: str) -> Iterator[Callable[[], int]]:
    """Send SIGTERM to a process; yield a function that waits for its end, and returns its exit status."""
    statuses: list[int] = []
    stop = threading.Thread(target=lambda: statuses.append(shop.system.stop(name)))
    stop.start()

    def stopped() -> int:
        stop.join()
        return statuses[0]

    yield stopped
    stop.join()


def test_an_executor_finishes_its_calls_and_hands_its_sagas_back(shop: Shop) -> None:
    """Another executor continues at once, and repeats nothing."""
    product = shop.product(quantity=10)
    carts = [shop.cart((product, 1)) for _ in range(8)]
    shop.system.freeze(OTHER)
    shop.system.freeze(PAGOS)
    sagas = [shop.begin(cart) for cart in carts]
    for saga_id in sagas:
        shop.until_requested(saga_id, "process_payment")
    with stopping(shop, STOPPED) as stopped:
        shop.system.thaw(PAGOS)
        assert stopped() == 0
    shop.system.thaw(OTHER)
    for saga_id in sagas:
        assert shop.became(saga_id) == COMPLETED
        assert set(attempts_of(shop.saga(saga_id)).values()) == {1}
    assert shop.stock(product) == (2, 0, 8)


def test_who_waits_for_a_saga_is_answered(shop: Shop) -> None:
    cart = shop.cart((shop.product(), 1))
    shop.system.freeze(PAGOS)

    def waits() -> Reply:
        return shop.checkout(cart, way=ORCHESTRATOR, Prefer="wait=20")

    def stops() -> int:
        sagas = wait_until(lambda: shop.sagas(cart_id=cart)["items"], "the saga has begun")
        shop.until_requested(sagas[0]["saga_id"], "process_payment")
        with stopping(shop, ORCHESTRATOR) as stopped:
            shop.system.thaw(PAGOS)
            return stopped()

    with ThreadPoolExecutor(2) as pool:
        answered, stopped = pool.submit(waits), pool.submit(stops)
        assert (answered.result().status, answered.result().body["status"]) == (200, "completed")
        assert stopped.result() == 0


@pytest.mark.parametrize("service", [CARRITO, INVENTARIO, PAGOS, ORCHESTRATOR])
def test_a_restart_in_the_middle_of_load_loses_nothing(shop: Shop, service: str) -> None:
    product = shop.product(quantity=100)
    carts = [shop.cart((product, 1)) for _ in range(24)]
    with ThreadPoolExecutor(4) as customers:
        sagas = [customers.submit(shop.insist, cart) for cart in carts]
        wait_until(sagas[6].done, "there is load")
        assert shop.system.stop(service) == 0
        shop.restart(service)
    for saga in sagas:
        assert shop.became(saga.result()) == COMPLETED
    assert shop.stock(product) == (76, 0, 24)
