"""Two engines run the orchestrated saga: each saga ends on the engine on which it began, whatever runs new ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.shop import COMPLETED, DECLINED, EXECUTOR, ORCHESTRATOR, PAGOS, QUICK, UNDONE, Shop
from tests.system import temporal

ENGINES = ("builtin", temporal.TEMPORAL)
# Timeline entries that show which engine ran a saga.
RUNS_ON_TEMPORAL = {temporal.TEMPORAL}


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """All processes know Temporal, which runs nothing yet."""
    told = {**temporal.settings_at(temporal.address_of_run()), temporal.ENGINE: "builtin"}
    return {"env": {**QUICK, **told}, "copies": {EXECUTOR: 1}}


def change_engine(shop: Shop, engine: str) -> None:
    """Restart with another engine while sagas run, as a deployment would."""
    for name in (ORCHESTRATOR, EXECUTOR):
        shop.restart(name, SAGA_ENGINE=engine)


def engine_of(shop: Shop, saga_id: str) -> str:
    executors = {entry["executor"] for entry in shop.timeline(saga_id, kind="attempt")}
    return temporal.TEMPORAL if executors == RUNS_ON_TEMPORAL else "builtin"


@pytest.fixture
def shop(shop: Shop) -> Iterator[Shop]:
    yield shop
    if not shop.system.alive(PAGOS):
        shop.restart(PAGOS)


@pytest.mark.parametrize(("first", "second"), [ENGINES, ENGINES[::-1]], ids=["to Temporal", "from Temporal"])
def test_a_saga_ends_on_the_engine_that_it_began_on_while_new_ones_run_on_the_other(
    shop: Shop, first: str, second: str
) -> None:
    product = shop.product(quantity=10)
    change_engine(shop, first)
    shop.system.kill(PAGOS)
    before = [shop.buy(product) for _ in range(3)]
    for saga_id in before:
        shop.until_requested(saga_id, "process_payment")
    change_engine(shop, second)
    after = shop.buy(product)
    shop.restart(PAGOS)
    assert {shop.became(saga_id) for saga_id in (*before, after)} == {COMPLETED}
    assert {engine_of(shop, saga_id) for saga_id in before} == {first}
    assert engine_of(shop, after) == second
    assert shop.stock(product) == (6, 0, 4)


@pytest.mark.parametrize(("first", "second"), [ENGINES, ENGINES[::-1]], ids=["to Temporal", "from Temporal"])
def test_a_saga_that_ended_on_one_engine_is_undone_on_the_other_and_is_the_same_saga(
    shop: Shop, first: str, second: str
) -> None:
    product = shop.product(quantity=10)
    change_engine(shop, first)
    saga_id = shop.buy(product)
    assert shop.became(saga_id) == COMPLETED
    change_engine(shop, second)
    assert shop.compensate(saga_id).status == 202
    assert shop.became(saga_id) == UNDONE
    assert [item["saga_id"] for item in shop.sagas(cart_id=shop.saga(saga_id)["cart_id"])["items"]] == [saga_id]
    executors = [entry["executor"] == temporal.TEMPORAL for entry in shop.timeline(saga_id, kind="attempt")]
    assert set(executors[:5]) == {first == temporal.TEMPORAL}
    assert set(executors[5:]) == {second == temporal.TEMPORAL}


@pytest.mark.parametrize(("method", "became"), [("credit_card", COMPLETED), ("declined_card", DECLINED)])
def test_what_ended_on_temporal_is_undone_there_as_the_same_saga(shop: Shop, method: str, became: Any) -> None:
    change_engine(shop, temporal.TEMPORAL)
    saga_id = shop.buy(shop.product(quantity=10), method=method)
    assert shop.became(saga_id) == became
    assert shop.compensate(saga_id).status == 202
    assert shop.became(saga_id).left_nothing
    assert engine_of(shop, saga_id) == temporal.TEMPORAL
