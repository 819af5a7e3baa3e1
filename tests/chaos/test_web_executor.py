"""A web process that runs the sagas that it accepts is killed or stopped at every point; other executors complete them.

Or its successor does. The leases would last for minutes.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from saga_orchestrator.runtime.leases import EXECUTORS
from shared.http.client import Reply
from shared.testing import wait_until
from tests.e2e.shop import (
    COMPLETED,
    DECLINED,
    EXECUTOR,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    UNDONE,
    Shop,
    attempts_of,
    problem,
)
from tests.system.temporal import TEMPORAL, engine_of_run

pytestmark = pytest.mark.skipif(engine_of_run() == TEMPORAL, reason="web processes run nothing of Temporal's")
OTHERS, ITSELF = "a separate executor", "itself restarted"
POINTS = [
    "executor.after_write.accept",
    "executor.before_call.reserve_inventory.action",
    "executor.after_call.reserve_inventory.action",
    "executor.before_write.decision",
    "executor.after_write.decision",
    "executor.before_call.process_payment.action",
    "executor.after_call.process_payment.action",
    "executor.after_call.commit_inventory.action",
    "executor.before_write.end",
]
COMPENSATING = [
    "executor.after_write.decision",
    "executor.after_call.process_payment.compensation",
    "executor.before_write.end",
]


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"env": {**QUICK, "LEASE_SECONDS": "300", "CALL_SECONDS": "20"}, "copies": {EXECUTOR: 1}}


@pytest.fixture
def customers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def dies_at(shop: Shop, customers: ThreadPoolExecutor, point: str, cart: str, method: str) -> Future[str]:
    """Return the saga at which the web process died at this point; learned by a client that repeats its request."""
    restart(shop, FAULT_KILL_AT=point)
    saga = customers.submit(shop.insist, cart, method, ORCHESTRATOR)
    shop.system.wait_dead(ORCHESTRATOR)
    assert shop.system.fault_fired(ORCHESTRATOR)
    return saga


def count(shop: Shop, query: str) -> int:
    """Return the result of a query that counts."""
    engine = create_engine(shop.database_url)
    with engine.connect() as connection:
        found = connection.scalar(text(query))
    engine.dispose()
    return int(found or 0)


def live(shop: Shop) -> int:
    """Count the orchestrated sagas that have not ended."""
    return count(shop, "SELECT count(*) FROM saga_orchestrator.sagas WHERE due_at IS NOT NULL")


def present(shop: Shop) -> int:
    """Count the executors that others see as alive; a web process may answer before its own executor is among them."""
    return count(
        shop,
        f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {EXECUTORS} AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )


@pytest.fixture
def shop(shop: Shop) -> Shop:
    wait_until(lambda: present(shop) == 2, "both executors are there")
    return shop


def restart(shop: Shop, **env: str) -> None:
    """Restart the web process, and wait for its executor."""
    before = present(shop)
    shop.restart(ORCHESTRATOR, **env)
    wait_until(lambda: present(shop) == before, "its executor is there")


def succeed(shop: Shop, successor: str) -> None:
    """Have this executor complete the saga."""
    if successor == OTHERS:
        wait_until(lambda: live(shop) == 0, "a separate executor ends what the web process left")
    else:
        shop.system.kill(EXECUTOR)
    shop.restart(ORCHESTRATOR)


@pytest.mark.parametrize(
    ("point", "method", "successor"),
    [
        *((point, "credit_card", (OTHERS, ITSELF)[number % 2]) for number, point in enumerate(POINTS)),
        *((point, "declined_card", (ITSELF, OTHERS)[number % 2]) for number, point in enumerate(COMPENSATING)),
    ],
)
def test_what_a_killed_web_process_ran_goes_on(
    shop: Shop, customers: ThreadPoolExecutor, point: str, method: str, successor: str
) -> None:
    product = shop.product(quantity=10)
    saga = dies_at(shop, customers, point, shop.cart((product, 1)), method)
    succeed(shop, successor)
    became, stock = (COMPLETED, (9, 0, 1)) if method == "credit_card" else (DECLINED, (10, 0, 0))
    assert (shop.became(saga.result()), shop.stock(product)) == (became, stock)


def stops(shop: Shop, customers: ThreadPoolExecutor) -> Future[int]:
    """Stop the web process; its exit status follows. Its executor has been told to stop by now."""
    stopped = customers.submit(shop.system.stop, ORCHESTRATOR)
    wait_until(lambda: '"executor stops"' in shop.system.log(ORCHESTRATOR), "its executor stops")
    return stopped


def executors_of(shop: Shop, saga_id: str, step: str) -> set[str]:
    """Return the ids of the processes that sent a step's commands."""
    return {entry["executor"].split("-")[0] for entry in shop.timeline(saga_id, step=step)}


def test_a_stopped_web_process_finishes_its_calls_and_hands_its_sagas_back(
    shop: Shop, customers: ThreadPoolExecutor
) -> None:
    product = shop.product(quantity=10)
    carts = [shop.cart((product, 1)) for _ in range(8)]
    shop.system.freeze(EXECUTOR)
    shop.system.freeze(PAGOS)
    sagas = [shop.begin(cart) for cart in carts]
    for saga_id in sagas:
        shop.until_requested(saga_id, "process_payment")
    stopped = stops(shop, customers)
    shop.system.thaw(PAGOS)
    assert stopped.result() == 0
    assert live(shop) == 8
    shop.system.thaw(EXECUTOR)
    shop.restart(ORCHESTRATOR)
    for saga_id in sagas:
        assert shop.became(saga_id) == COMPLETED
        assert set(attempts_of(shop.saga(saga_id)).values()) == {1}
        assert executors_of(shop, saga_id, "process_payment") != executors_of(shop, saga_id, "create_order")
    assert shop.stock(product) == (2, 0, 8)


def test_who_waits_is_answered_by_a_web_process_that_stops_and_hands_the_saga_to_another(
    shop: Shop, customers: ThreadPoolExecutor
) -> None:
    cart = shop.cart((shop.product(), 1))
    shop.system.freeze(PAGOS)

    def waits() -> Reply:
        return shop.checkout(cart, way=ORCHESTRATOR, Prefer="wait=20")

    answer = customers.submit(waits)
    sagas = wait_until(lambda: shop.sagas(cart_id=cart)["items"], "the saga has begun")
    shop.until_requested(sagas[0]["saga_id"], "process_payment")
    stopped = stops(shop, customers)
    shop.system.thaw(PAGOS)
    assert (answer.result().status, answer.result().body["status"]) == (200, "completed")
    assert stopped.result() == 0
    shop.restart(ORCHESTRATOR)
    saga_id = sagas[0]["saga_id"]
    assert executors_of(shop, saga_id, "process_payment") != executors_of(shop, saga_id, "confirm_order")


def test_a_web_process_that_was_frozen_for_longer_than_its_leases_changes_nothing_any_more(shop: Shop) -> None:
    product = shop.product(quantity=10)
    restart(shop, LEASE_SECONDS="0.5")
    shop.system.freeze(PAGOS)
    saga_id = shop.buy(product)
    shop.until_requested(saga_id, "process_payment")
    shop.system.freeze(ORCHESTRATOR)
    shop.system.thaw(PAGOS)
    wait_until(lambda: live(shop) == 0, "a separate executor ends what the frozen one had")
    shop.system.thaw(ORCHESTRATOR)
    assert shop.became(saga_id) == COMPLETED
    wait_until(lambda: '"lease lost"' in shop.system.log(ORCHESTRATOR), "it has noticed")
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_the_web_process_runs_what_it_accepts_and_nobody_claims_it(shop: Shop) -> None:
    """Also without another executor; and it claims sagas that an operator turned back, or that wait for a retry."""
    shop.system.kill(EXECUTOR)
    product = shop.product(quantity=10)
    saga_id = shop.buy(product)
    assert shop.became(saga_id) == COMPLETED
    engine = create_engine(shop.database_url)
    with engine.connect() as connection:
        tokens = text("SELECT fencing_token FROM saga_orchestrator.sagas WHERE saga_id = :saga_id")
        assert connection.scalar(tokens, {"saga_id": saga_id}) == 1
    engine.dispose()
    assert shop.compensate(saga_id).status == 202
    assert shop.became(saga_id) == UNDONE
    assert problem(shop.retry(saga_id), 409)["saga_id"] == saga_id


def test_without_room_sagas_are_left_to_other_executors(shop: Shop) -> None:
    product = shop.product(quantity=100)
    restart(shop, EXECUTOR_SAGAS="1")
    shop.system.freeze(PAGOS)
    sagas = [shop.buy(product) for _ in range(4)]
    for saga_id in sagas:
        shop.until_requested(saga_id, "process_payment")
    executors = set[str]().union(*(executors_of(shop, saga_id, "reserve_inventory") for saga_id in sagas))
    assert len(executors) == 2, "the web process's and the separate one"
    shop.system.thaw(PAGOS)
    assert {shop.became(saga_id) for saga_id in sagas} == {COMPLETED}
