"""kill -9 of executors whose leases would last for minutes: others notice it, and continue their sagas."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from shared.testing import concurrently, wait_until
from tests.e2e.shop import COMPLETED, EXECUTOR, PAGOS, QUICK, SEPARATE, Shop

FIRST, SECOND = f"{EXECUTOR}-1", f"{EXECUTOR}-2"
LONG = 300  # seconds that a lease lasts: far longer than any test waits
KILLS, LIFE_SECONDS = 8, 2.0  # how often an executor is killed under load, and how long it lives


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"env": {**QUICK, **SEPARATE, "LEASE_SECONDS": str(LONG)}, "copies": {EXECUTOR: 2}}


def begun_by(shop: Shop, executor: str, product: int) -> str:
    """Return a saga that this executor has leased, and that waits for pagos, which is frozen."""
    (other,) = {FIRST, SECOND} - {executor}
    shop.system.freeze(other)
    shop.system.freeze(PAGOS)
    saga_id = shop.buy(product)
    shop.until_requested(saga_id, "process_payment")
    shop.system.thaw(other)
    return saga_id


@pytest.mark.parametrize("successor", ["another that runs already", "itself restarted"])
def test_the_sagas_of_a_killed_executor_go_on_though_their_leases_last(shop: Shop, successor: str) -> None:
    product = shop.product(quantity=10)
    saga_id = begun_by(shop, FIRST, product)
    shop.system.kill(FIRST)
    if successor == "itself restarted":
        shop.system.kill(SECOND)
        shop.restart(FIRST)
    shop.system.thaw(PAGOS)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_executors_that_are_killed_again_and_again_under_load_end_their_sagas(shop: Shop) -> None:
    product = shop.product(quantity=1000)
    over = threading.Event()

    def customer() -> list[str]:
        sagas = []
        while not over.is_set():
            sagas.append(shop.buy(product))
            over.wait(0.2)
        return sagas

    def killer() -> list[str]:
        try:
            for name in itertools.islice(itertools.cycle((FIRST, SECOND)), KILLS):
                over.wait(LIFE_SECONDS)
                shop.restart(name)
        finally:
            over.set()
        return []

    sagas = [saga_id for each in concurrently(killer, *[customer] * 4, seconds=300) for saga_id in each]
    assert {shop.became(saga_id) for saga_id in sagas} == {COMPLETED}
    assert shop.stock(product) == (1000 - len(sagas), 0, len(sagas))


@pytest.fixture
def without_connections(shop: Shop) -> Iterator[Any]:
    """Keep ending every connection on which executors listen, during the block."""
    engine = create_engine(shop.database_url, isolation_level="AUTOCOMMIT")
    ended = text("""
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'listen saga_due'
    """)
    with engine.connect() as connection:
        yield lambda: connection.scalar(ended)
    engine.dispose()


def test_an_executor_that_loses_its_connection_is_there_again_and_can_be_missed_again(
    shop: Shop, without_connections: Any
) -> None:
    product = shop.product(quantity=10)
    assert without_connections() == 2
    saga_id = begun_by(shop, FIRST, product)
    wait_until(lambda: without_connections() == 2, "both listen again", 60)
    shop.system.kill(FIRST)
    shop.system.thaw(PAGOS)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)
