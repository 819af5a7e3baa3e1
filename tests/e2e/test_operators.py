"""Operators' requests: compensating running and completed sagas, and retrying waiting ones."""

from functools import partial
from typing import Any

import pytest

from shared.ids import new_id
from shared.testing import concurrently
from tests.e2e.shop import (
    CARRITO,
    COMPLETED,
    DECLINED,
    EXECUTOR,
    INVENTARIO,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    SEPARATE,
    UNDONE,
    Became,
    Shop,
    attempts_of,
    problem,
    steps_of,
)


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    """One executor, so that a test knows which one to change."""
    return {"env": {**QUICK, **SEPARATE}, "copies": {EXECUTOR: 1}}


def begin_and_hold(shop: Shop, cart: str, step: str) -> tuple[str, str]:
    """Return a saga whose request for this step waits for a frozen service, and that service."""
    service = {"reserve_inventory": INVENTARIO, "process_payment": PAGOS, "create_order": CARRITO}[step]
    if service == CARRITO:  # it was called earlier, too, so another service is frozen before
        shop.system.freeze(PAGOS)
        saga_id = shop.begin(cart)
        shop.until_requested(saga_id, "process_payment")
        shop.system.freeze(CARRITO)
        shop.system.thaw(PAGOS)
    else:
        shop.system.freeze(service)
        saga_id = shop.begin(cart)
    shop.until_requested(saga_id, step)
    return saga_id, service


@pytest.mark.parametrize("step", ["reserve_inventory", "process_payment", "create_order"])
def test_a_running_saga_turns_back(shop: Shop, step: str) -> None:
    """Whether the thawed service handles the step first or its compensation."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    saga_id, service = begin_and_hold(shop, cart, step)
    reply = shop.compensate(saga_id)
    assert (reply.status, reply.body["status"]) == (202, "compensating")
    assert reply.body["error"] == "changed my mind"
    again = shop.compensate(saga_id)
    assert (again.status, again.body["status"]) == (202, "compensating")
    shop.system.thaw(service)
    assert shop.became(saga_id).left_nothing
    assert shop.stock(product) == (10, 0, 0)
    assert len(shop.timeline(saga_id, kind="compensation_requested")) == 2
    assert shop.became(shop.begin(cart)) == COMPLETED


def test_a_saga_that_nobody_took_up_yet_turns_back_and_does_nothing(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.system.kill(EXECUTOR)
    saga_id = shop.begin(cart)
    shop.compensate(saga_id)
    shop.restart(EXECUTOR)
    assert shop.became(saga_id) == Became("compensated", "open")
    assert set(steps_of(shop.saga(saga_id)).values()) == {"skipped"}
    assert shop.became(shop.begin(cart)) == COMPLETED


def test_a_completed_saga_is_undone_in_full_and_once(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 3))
    saga_id = shop.begin(cart)
    assert shop.became(saga_id) == COMPLETED
    replies = concurrently(*[partial(shop.compensate, saga_id)] * 8)
    assert {reply.status for reply in replies} == {202}
    assert shop.became(saga_id) == UNDONE
    assert set(steps_of(shop.saga(saga_id)).values()) == {"compensated"}
    assert shop.stock(product) == (10, 0, 0)
    assert shop.compensate(saga_id, Prefer="wait=5").body["status"] == "compensated"
    assert shop.became(saga_id) == UNDONE
    assert len(shop.timeline(saga_id, kind="compensation_requested")) == 9
    assert len(shop.timeline(saga_id, kind="compensated")) == 1
    for step in steps_of(shop.saga(saga_id)):
        assert len(shop.timeline(saga_id, step=step, direction="compensation")) == 1
    (payment,) = shop.get(PAGOS, f"/api/v1/payments/saga/{cart}").body["items"]
    assert payment["refunded"] == payment["amount"]
    assert shop.became(shop.begin(cart)) == COMPLETED
    assert shop.stock(product) == (7, 0, 3)


def test_a_wallet_gets_its_money_back(shop: Shop) -> None:
    user, product = "wallet-owner", shop.product(price="7.00")
    shop.deposit("10.00", user)
    reply = shop.checkout(shop.cart((product, 1), user=user), "wallet", user=user, Prefer="wait=20")
    assert reply.body["status"] == "completed"
    assert shop.get(PAGOS, f"/api/v1/wallets/{user}").body["balance"] == 3
    assert shop.compensate(reply.body["saga_id"], Prefer="wait=20").body["status"] == "compensated"
    assert shop.get(PAGOS, f"/api/v1/wallets/{user}").body["balance"] == 10


def test_undoing_what_is_undone_changes_nothing(shop: Shop) -> None:
    saga_id = shop.buy(shop.product(), method="declined_card")
    assert shop.became(saga_id) == DECLINED
    before = shop.saga(saga_id)
    reply = shop.post(ORCHESTRATOR, f"/saga/{saga_id}/compensate", {"by": "eve", "reason": "to be sure"})
    assert (reply.status, reply.body) == (202, before)
    (entry,) = shop.timeline(saga_id, kind="compensation_requested")
    assert (entry["by"], entry["reason"]) == ("eve", "to be sure")


def test_a_stuck_saga_is_shown_and_tried_again_when_an_operator_asks(shop: Shop) -> None:
    """The back-off is a minute here, so only the operator's request can complete the saga."""
    shop.restart(EXECUTOR, STUCK_AFTER_ATTEMPTS="1", RETRY_FIRST_SECONDS="60", RETRY_MOST_SECONDS="60")
    shop.restart(CARRITO, FAULT_KILL_AT="carrito.POST /orders/<order_id>/confirm.before_answer")
    saga_id = shop.buy(shop.product())
    shop.system.wait_dead(CARRITO)
    saga = shop.until_status(saga_id, "stuck")
    assert saga_id in [each["saga_id"] for each in shop.sagas(status="stuck")["items"]]
    assert set(steps_of(saga).values()) == {"succeeded"}
    assert shop.timeline(saga_id, kind="stuck")[0]["detail"].startswith("carrito: ")
    shop.restart(CARRITO)
    reply = shop.retry(saga_id)
    assert (reply.status, reply.body["status"]) == (202, "running")
    assert shop.became(saga_id) == COMPLETED
    assert len(shop.timeline(saga_id, kind="retry_requested")) == 1


def test_a_waiting_saga_is_tried_again_when_an_operator_asks(shop: Shop) -> None:
    shop.restart(EXECUTOR, RETRY_FIRST_SECONDS="30", RETRY_MOST_SECONDS="30")
    cart = shop.cart((shop.product(), 1))
    shop.system.kill(PAGOS)
    saga_id = shop.begin(cart)
    shop.until(saga_id, lambda _: len(shop.timeline(saga_id, outcome="unknown")) == 3, "waits")
    shop.restart(PAGOS)
    shop.retry(saga_id)
    assert shop.became(saga_id) == COMPLETED
    assert attempts_of(shop.saga(saga_id))["process_payment"] == 2


@pytest.mark.parametrize("method", ["credit_card", "declined_card"])
def test_an_ended_saga_is_not_tried_again(shop: Shop, method: str) -> None:
    saga_id = shop.buy(shop.product(), method=method)
    status = shop.ended(saga_id)["status"]
    assert problem(shop.retry(saga_id), 409)["saga_status"] == status
    assert shop.saga(saga_id)["status"] == status


@pytest.mark.parametrize("what", ["compensate", "retry"])
def test_there_is_nothing_to_do_without_a_saga(shop: Shop, what: str) -> None:
    problem(shop.post(ORCHESTRATOR, f"/saga/{new_id()}/{what}"), 404)


def test_retrying_a_saga_at_every_moment_does_no_harm(shop: Shop) -> None:
    """Each request takes the saga from its executor; what that one was doing is repeated."""
    product = shop.product(quantity=10)
    saga_id = shop.buy(product)
    for _ in range(20):
        assert shop.retry(saga_id).status in {202, 409}
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_undoing_sagas_at_any_moment_leaves_nothing_behind(shop: Shop) -> None:
    """Many at once, each turned back at another moment, some after their end."""
    product = shop.product(quantity=100)
    sagas = [shop.buy(product) for _ in range(12)]
    concurrently(*[partial(shop.compensate, saga_id) for saga_id in sagas])
    for saga_id in sagas:
        assert shop.became(saga_id).left_nothing
    assert shop.stock(product) == (100, 0, 0)
