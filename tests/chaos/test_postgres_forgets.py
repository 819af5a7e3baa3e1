"""The orchestrator's PostgreSQL crashes and loses asynchronous commits: leases and progress.

The executor that takes the saga over does not know what was done under a lost lease; it repeats or compensates it.
Whether a real crash loses something depends on the moment, so these tests delete it from the tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from saga_orchestrator.models import sagas
from shared.testing import wait_until
from tests.e2e.shop import COMPLETED, EXECUTOR, INVENTARIO, PAGOS, QUICK, SEPARATE, Became, Shop
from tests.e2e.wire import Wire
from tests.system.temporal import TEMPORAL, engine_of_run

pytestmark = pytest.mark.skipif(engine_of_run() == TEMPORAL, reason="Temporal knows what these tables forget")
FIRST, SECOND = f"{EXECUTOR}-1", f"{EXECUTOR}-2"
PAY = "POST /api/v1/payments/saga"
UNDONE_BEFORE_ITS_ORDER = Became("compensated", "open", (), ("refunded",), ("released",))

# PostgreSQL computes the others.
COLUMNS = ", ".join(column.name for column in sagas.columns if column.computed is None)
KEEP = f"""
CREATE TEMPORARY TABLE kept AS SELECT {COLUMNS} FROM saga_orchestrator.sagas WHERE saga_id = :saga;
CREATE TEMPORARY TABLE kept_timeline AS SELECT * FROM saga_orchestrator.timeline WHERE saga_id = :saga
"""
FORGET = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DELETE FROM saga_orchestrator.timeline WHERE saga_id = :saga;
DELETE FROM saga_orchestrator.sagas WHERE saga_id = :saga;
INSERT INTO saga_orchestrator.sagas ({COLUMNS}) SELECT * FROM kept;
INSERT INTO saga_orchestrator.timeline SELECT * FROM kept_timeline
"""


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A wire between the executors and pagos."""
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def shop_settings(wire: Wire) -> dict[str, Any]:
    env = {**QUICK, **SEPARATE, "LEASE_SECONDS": "0.5", "CALL_SECONDS": "10", "FORWARD_DEADLINE_SECONDS": "1"}
    return {"env": env, "copies": {EXECUTOR: 2}, "env_of": {EXECUTOR: {"PAGOS_SERVICE_URL": wire.url}}}


@pytest.fixture
def shop(shop: Shop, wire: Wire) -> Shop:
    wire.target = shop.urls[PAGOS]
    return shop


@contextmanager
def forgotten_in_payment(shop: Shop, wire: Wire, cart: str) -> Iterator[str]:
    """Yield a saga that has been paid, of which the orchestrator knows only that it was accepted.

    The first executor is frozen during the call; the second one, too, until it is thawed.
    """
    shop.system.freeze(FIRST)
    shop.system.freeze(SECOND)
    engine = create_engine(shop.database_url, isolation_level="AUTOCOMMIT")
    with wire.hold(PAY, "answer") as payment, engine.connect() as connection:
        saga_id = shop.begin(cart)
        for statement in KEEP.split(";"):
            connection.execute(text(statement), {"saga": saga_id})
        shop.system.thaw(FIRST)
        payment.wait()
        shop.system.freeze(FIRST)
        for statement in FORGET.split(";"):
            connection.execute(text(statement), {"saga": saga_id})
        assert shop.saga(saga_id)["status"] == "pending"
        yield saga_id
        payment.release()
    engine.dispose()


def test_the_saga_is_completed_all_the_same(shop: Shop, wire: Wire) -> None:
    """Its lease has the number of the lost one, but another owner: the first executor changes nothing afterwards."""
    product = shop.product(quantity=10)
    with forgotten_in_payment(shop, wire, shop.cart((product, 1))) as saga_id:
        shop.system.thaw(SECOND)
        assert shop.became(saga_id) == COMPLETED
    before = shop.saga(saga_id), shop.timeline(saga_id)
    shop.system.thaw(FIRST)
    wait_until(lambda: "lease lost" in shop.system.log(FIRST), "it has noticed")
    assert (shop.saga(saga_id), shop.timeline(saga_id)) == before
    assert shop.stock(product) == (9, 0, 1)


def test_an_operator_undoes_what_nobody_remembers(shop: Shop, wire: Wire) -> None:
    product = shop.product(quantity=10)
    with forgotten_in_payment(shop, wire, shop.cart((product, 1))) as saga_id:
        assert shop.compensate(saga_id).status == 202
        shop.system.thaw(SECOND)
        assert shop.became(saga_id) == UNDONE_BEFORE_ITS_ORDER
    assert shop.stock(product) == (10, 0, 0)


def test_a_deadline_undoes_what_nobody_remembers(shop: Shop, wire: Wire) -> None:
    """inventario is away when the saga is taken over: as far as is known, nothing was reserved."""
    product = shop.product(quantity=10)
    with forgotten_in_payment(shop, wire, shop.cart((product, 1))) as saga_id:
        shop.system.kill(INVENTARIO)
        shop.system.thaw(SECOND)
        assert shop.until_status(saga_id, "compensating", "stuck")["error"].startswith("reserve_inventory: ")
        shop.restart(INVENTARIO)
        assert shop.became(saga_id) == UNDONE_BEFORE_ITS_ORDER
    assert shop.stock(product) == (10, 0, 0)
