"""The orchestrator's PostgreSQL crashes, and loses commits that it had not written to its disk.

It is a server of the module's own, and slow to write by itself: no other commit writes what an executor committed
asynchronously.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.shop import COMPLETED, EXECUTOR, INVENTARIO, ORCHESTRATOR, PAGOS, QUICK, SEPARATE, Shop, steps_of
from tests.e2e.wire import Wire
from tests.system.own_postgres import OwnPostgres, databases_on, own_postgres
from tests.system.temporal import TEMPORAL

__all__ = ["own_postgres"]


@pytest.fixture(scope="module")
def to_inventario() -> Iterator[Wire]:
    """A wire between the executor and inventario."""
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def to_pagos() -> Iterator[Wire]:
    """A wire between the executor and pagos."""
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def shop_settings(own_postgres: OwnPostgres, to_inventario: Wire, to_pagos: Wire) -> Iterator[dict[str, Any]]:
    env = {
        **QUICK,
        **SEPARATE,
        "CALL_SECONDS": "0.5",
        "FORWARD_DEADLINE_SECONDS": "1",
        "LEASE_SECONDS": "60",
        "PROGRESS_SECONDS": "60",  # so that only decisions are written
    }
    # PostgreSQL's slowest setting.
    own_postgres.ask("ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()")
    wires = {"INVENTARIO_SERVICE_URL": to_inventario.url, "PAGOS_SERVICE_URL": to_pagos.url}
    with databases_on(own_postgres) as there:
        env["SAGA_ORCHESTRATOR_DATABASE_URL"] = there.create()
        yield {"env": env, "copies": {EXECUTOR: 1}, "env_of": {EXECUTOR: wires}}


@pytest.fixture
def shop(shop: Shop, to_inventario: Wire, to_pagos: Wire) -> Shop:
    to_inventario.target, to_pagos.target = shop.urls[INVENTARIO], shop.urls[PAGOS]
    return shop


def crash(shop: Shop, own_postgres: OwnPostgres) -> None:
    """Crash the database, and the executor, which knows what the crash may have lost."""
    shop.system.kill(EXECUTOR)
    own_postgres.kill()
    own_postgres.start()
    shop.system.wait_healthy(ORCHESTRATOR, 60)


def test_that_the_pivot_was_requested_is_known_after_a_crash(
    shop: Shop, own_postgres: OwnPostgres, to_inventario: Wire
) -> None:
    product = shop.product(quantity=10)
    with to_inventario.hold("POST /api/products/commit", "request") as pivot:
        saga_id = shop.buy(product)
        pivot.wait()
        crash(shop, own_postgres)
    known = "pending" if shop.system.engine == TEMPORAL else "running"  # Temporal knows it
    assert steps_of(shop.saga(saga_id))["commit_inventory"] == known
    shop.restart(EXECUTOR)
    assert shop.became(saga_id) == COMPLETED


def test_that_a_saga_turned_back_is_known_after_a_crash(shop: Shop, own_postgres: OwnPostgres, to_pagos: Wire) -> None:
    """It turned back at its deadline; if that were lost it would go forward, since the money could be captured now."""
    product = shop.product(quantity=10)
    with (
        to_pagos.hold("POST /api/v1/payments/saga/.*/refund", "request") as refund,
        to_pagos.hold("POST /api/v1/payments/saga", "request"),
        to_pagos.hold("POST /api/v1/payments/saga", "request"),
        to_pagos.hold("POST /api/v1/payments/saga", "request"),
    ):
        saga_id = shop.buy(product)
        refund.wait()
        crash(shop, own_postgres)
    assert shop.saga(saga_id)["status"] == "compensating"
    shop.restart(EXECUTOR)
    assert shop.became(saga_id).left_nothing
    assert shop.stock(product) == (10, 0, 0)


def test_an_end_that_a_crash_forgot_is_reached_again_and_doubles_nothing(shop: Shop, own_postgres: OwnPostgres) -> None:
    product = shop.product(quantity=10)
    saga_id = shop.buy(product)
    assert shop.became(saga_id) == COMPLETED
    crash(shop, own_postgres)
    if shop.system.engine == TEMPORAL:
        assert shop.saga(saga_id)["status"] == "completed", "the row does not tell of the pivot, so its end is durable"
    else:
        assert shop.saga(saga_id)["status"] == "running", "only the request of the pivot was durable"
    shop.restart(EXECUTOR)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)
