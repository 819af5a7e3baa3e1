"""kill -9 of an executor at every point of its work: another one, or the restarted one, completes the saga.

In each test, the other executor is frozen, so that the doomed one gets the saga; it dies; its successor continues.
"""

from collections.abc import Callable
from typing import Any

import pytest

from saga_orchestrator.orchestrator import CHECKOUT
from tests.e2e.shop import CARRITO, COMPLETED, DECLINED, EXECUTOR, ORCHESTRATOR, PAGOS, QUICK, SEPARATE, UNDONE, Shop
from tests.system.temporal import TEMPORAL

DOOMED, OTHER = f"{EXECUTOR}-1", f"{EXECUTOR}-2"
SUCCESSORS = ("the other one", "itself restarted")

ACTIONS = [f"{step.name}.action" for step in (*CHECKOUT.shown_steps, *CHECKOUT.retryable)]
COMPENSATIONS = [f"{step.name}.compensation" for step in reversed(CHECKOUT.shown_steps)]
CLOSING = f"{CHECKOUT.closing.name}.action"


def calls(*commands: str) -> list[str]:
    """Return the points before each call and after it."""
    return [f"executor.{when}_call.{command}" for command in commands for when in ("before", "after")]


def writes(*kinds: str) -> list[str]:
    """Return the points before the commit of each write and after it."""
    return [f"executor.{when}_write.{kind}" for kind in kinds for when in ("before", "after")]


def points(*groups: list[str]) -> pytest.MarkDecorator:
    """Parametrize by these points; every second one has the other successor."""
    named = [point for group in groups for point in group]
    return pytest.mark.parametrize(
        ("point", "successor"), [(point, SUCCESSORS[number // 2 % 2]) for number, point in enumerate(named)]
    )


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """Two executors, with leases so short that a successor need not wait."""
    return {"env": {**QUICK, **SEPARATE, "LEASE_SECONDS": "0.5"}, "copies": {EXECUTOR: 2}}


def die_in(shop: Shop, point: str, begin: Callable[[], str], **env: str) -> str:
    """Return the saga at which the doomed executor, started with this environment, died at this point."""
    shop.system.freeze(OTHER)
    shop.system.kill(DOOMED)
    saga_id = begin()
    shop.restart(DOOMED, FAULT_KILL_AT=point, **env)
    shop.system.wait_dead(DOOMED)
    assert shop.system.fault_fired(DOOMED)
    return saga_id


def succeed(shop: Shop, successor: str) -> None:
    """Let the successor take over the dead executor's sagas."""
    if successor == "the other one":
        shop.system.thaw(OTHER)
    else:
        shop.restart(DOOMED)


@points(calls(*ACTIONS), writes("claim", "decision", "end"))
def test_a_success_is_completed_by_its_successor(shop: Shop, point: str, successor: str) -> None:
    if shop.system.engine == TEMPORAL and point.endswith("decision"):
        pytest.skip("nothing is written before the pivot: it is in Temporal's history")
    product = shop.product(quantity=10)
    saga_id = die_in(shop, point, lambda: shop.buy(product))
    succeed(shop, successor)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


@points(calls("process_payment.compensation", "reserve_inventory.compensation", CLOSING), writes("decision", "end"))
def test_a_declined_checkout_is_compensated_by_its_successor(shop: Shop, point: str, successor: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    saga_id = die_in(shop, point, lambda: shop.begin(cart, "declined_card"))
    succeed(shop, successor)
    assert shop.became(saga_id) == DECLINED
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


@points(calls(*COMPENSATIONS, CLOSING), writes("claim", "end"))
def test_a_completed_checkout_is_undone_by_its_successor(shop: Shop, point: str, successor: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    saga_id = shop.begin(cart)
    assert shop.became(saga_id) == COMPLETED

    def compensated() -> str:
        assert shop.compensate(saga_id).status == 202
        return saga_id

    die_in(shop, point, compensated)
    succeed(shop, successor)
    assert shop.became(saga_id) == UNDONE
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


@points(writes("relinquish", "progress"))
def test_a_saga_that_waits_for_a_service_is_completed_by_its_successor(shop: Shop, point: str, successor: str) -> None:
    """A frozen service delays a saga until its progress is written; for an absent one, the saga is relinquished."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    takes_long = point.endswith("progress")
    if takes_long:
        shop.system.freeze(PAGOS)
    else:
        shop.system.kill(PAGOS)
    saga_id = die_in(shop, point, lambda: shop.begin(cart))
    if takes_long:
        shop.system.thaw(PAGOS)
    else:
        shop.restart(PAGOS)
    succeed(shop, successor)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


@pytest.mark.parametrize("successor", SUCCESSORS)
def test_a_successor_knows_that_the_pivot_was_requested(shop: Shop, successor: str) -> None:
    """Long after the deadline, and without a service that a new start would need: it can only go forward.

    Nothing else that the dead executor did was written.
    """
    shop.restart(ORCHESTRATOR, FORWARD_DEADLINE_SECONDS="0.1")
    product = shop.product(quantity=10)
    point = "executor.after_call.commit_inventory.action"
    saga_id = die_in(shop, point, lambda: shop.buy(product), PROGRESS_SECONDS="60", LEASE_SECONDS="2")
    shop.system.kill(PAGOS)
    succeed(shop, successor)
    assert shop.ended(saga_id)["status"] == "completed"
    shop.restart(PAGOS)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_a_stuck_saga_of_which_no_step_is_known_is_compensated_without_anybody(shop: Shop) -> None:
    """Its order was made, and nobody wrote that: its status and its steps do not tell that it has turned back.

    Without carrito its first compensation fails, which is enough to be stuck.
    """
    product = shop.product(quantity=10)
    point = "executor.after_call.create_order.action"
    saga_id = die_in(shop, point, lambda: shop.buy(product), PROGRESS_SECONDS="60")
    assert shop.compensate(saga_id).status == 202
    shop.system.kill(CARRITO)
    shop.restart(DOOMED, STUCK_AFTER_ATTEMPTS="1")
    shop.until_status(saga_id, "stuck")
    shop.restart(CARRITO)
    assert shop.became(saga_id) == UNDONE
    assert shop.stock(product) == (10, 0, 0)


def test_every_point_is_died_at() -> None:
    """A step added to the definition is killed at, too; a write that is added must be named here."""
    marks = [
        mark
        for test in (
            test_a_success_is_completed_by_its_successor,
            test_a_declined_checkout_is_compensated_by_its_successor,
            test_a_completed_checkout_is_undone_by_its_successor,
            test_a_saga_that_waits_for_a_service_is_completed_by_its_successor,
        )
        for mark in test.pytestmark  # type: ignore[attr-defined]
    ]
    named = {point for mark in marks for point, _ in mark.args[1]}
    compensatable = [f"{step.name}.compensation" for step in CHECKOUT.shown_steps if step.compensation is not None]
    every = calls(*ACTIONS, *compensatable, CLOSING) + writes("claim", "decision", "end", "relinquish", "progress")
    assert named == set(every)
