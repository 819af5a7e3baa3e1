"""kill -9 of Temporal, and of the workers that run sagas on it: every accepted saga ends, and no step is done twice."""

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from shared.testing import concurrently
from tests.e2e.shop import COMPLETED, DECLINED, EXECUTOR, PAGOS, QUICK, UNDONE, Shop, attempts_of
from tests.system import temporal
from tests.system.temporal import OwnTemporal

FIRST, SECOND = f"{EXECUTOR}-1", f"{EXECUTOR}-2"
LONG = 300  # seconds that a lease lasts: far longer than any test waits
KILLS, LIFE_SECONDS = 4, 2.0


@pytest.fixture(scope="module")
def server() -> Iterator[OwnTemporal]:
    server = OwnTemporal()
    yield server
    server.close()


@pytest.fixture(scope="module")
def shop_settings(server: OwnTemporal) -> dict[str, Any]:
    """Leases of sagas' rows are too long to recover what is lost within these tests."""
    env = {**QUICK, **temporal.settings_at(server.address), "LEASE_SECONDS": str(LONG), "CALL_SECONDS": "20"}
    return {"env": env, "copies": {EXECUTOR: 2}}


@pytest.fixture
def shop(shop: Shop, server: OwnTemporal) -> Shop:
    server.start()
    return shop


def paying(shop: Shop, product: int, count: int = 3) -> list[str]:
    """Return sagas that are in their payment, since pagos is frozen."""
    shop.system.freeze(PAGOS)
    sagas = [shop.buy(product) for _ in range(count)]
    for saga_id in sagas:
        shop.until_requested(saga_id, "process_payment")
    return sagas


def test_sagas_go_on_after_the_server_was_away_and_those_that_were_accepted_meanwhile_begin(
    shop: Shop, server: OwnTemporal
) -> None:
    product = shop.product(quantity=10)
    sagas = paying(shop, product)
    server.stop()
    meanwhile = shop.buy(product)
    assert shop.saga(meanwhile)["status"] == "pending"
    shop.system.thaw(PAGOS)
    server.start()
    assert {shop.became(saga_id) for saga_id in (*sagas, meanwhile)} == {COMPLETED}
    assert shop.stock(product) == (6, 0, 4)


def test_sagas_go_on_after_the_server_was_killed_in_their_middle(shop: Shop, server: OwnTemporal) -> None:
    product = shop.product(quantity=10)
    sagas = paying(shop, product)
    server.kill()
    shop.system.thaw(PAGOS)
    assert {shop.became(saga_id) for saga_id in sagas} == {COMPLETED}
    assert shop.stock(product) == (7, 0, 3)


def test_a_saga_that_is_turned_back_while_the_server_is_away_compensates_when_it_is_back(
    shop: Shop, server: OwnTemporal
) -> None:
    product = shop.product(quantity=10)
    completed = shop.buy(product)
    assert shop.became(completed) == COMPLETED
    (running,) = paying(shop, product, 1)
    server.stop()
    for saga_id in (running, completed):
        assert shop.compensate(saga_id).status == 202
        assert shop.saga(saga_id)["status"] == "compensating"
    shop.system.thaw(PAGOS)
    server.start()
    assert shop.became(running).left_nothing
    assert shop.became(completed) == UNDONE
    assert shop.stock(product) == (10, 0, 0)


def test_the_step_of_a_killed_worker_goes_on_within_seconds_in_another(shop: Shop) -> None:
    """Without Temporal's heartbeats it would take until the row's lease expires, which is minutes."""
    product = shop.product(quantity=10)
    shop.system.kill(SECOND)
    (saga_id,) = paying(shop, product, 1)
    shop.restart(SECOND)
    shop.system.kill(FIRST)
    shop.system.thaw(PAGOS)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)
    assert attempts_of(shop.saga(saga_id))["create_order"] == 1


def test_workers_and_the_server_are_killed_again_and_again_under_load(shop: Shop, server: OwnTemporal) -> None:
    product = shop.product(quantity=1000)
    over = threading.Event()

    def customer(method: str) -> list[tuple[str, str]]:
        sagas = []
        while not over.is_set():
            sagas.append((method, shop.buy(product, method=method)))
            over.wait(0.3)
        return sagas

    def killer() -> list[tuple[str, str]]:
        kills: list[Callable[[], None]] = [partial(shop.restart, FIRST), server.kill, partial(shop.restart, SECOND)]
        try:
            for kill in itertools.islice(itertools.cycle(kills), KILLS):
                over.wait(LIFE_SECONDS)
                kill()
        finally:
            over.set()
        return []

    methods = ("credit_card", "declined_card")
    begun = concurrently(killer, *[partial(customer, method) for method in methods], seconds=300)
    became = {(method, shop.became(saga_id)) for each in begun for method, saga_id in each}
    assert became == {("credit_card", COMPLETED), ("declined_card", DECLINED)}
    sold = sum(method == "credit_card" for each in begun for method, _ in each)
    assert shop.stock(product) == (1000 - sold, 0, sold)
