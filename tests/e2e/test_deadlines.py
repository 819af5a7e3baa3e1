"""Services that are away, and late or lost answers: sagas turn back at the deadline, and never after the pivot."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

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
    UNDONE,
    Became,
    Shop,
    steps_of,
)
from tests.e2e.wire import Wire

DEADLINE = 1.0  # seconds, of every saga here
PAY = r"POST /api/v1/payments/saga"
NOTHING_CHARGED = Became("compensated", "open", reservations=("released",))


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A wire between the executor and pagos."""
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def shop_settings(wire: Wire) -> dict[str, Any]:
    """Leases are long: the executor lives, whatever else is late."""
    env = {
        **QUICK,
        **SEPARATE,
        "LEASE_SECONDS": "30",
        "CALL_SECONDS": "0.3",
        "STUCK_AFTER_ATTEMPTS": "3",
        "FORWARD_DEADLINE_SECONDS": str(DEADLINE),
    }
    return {"env": env, "copies": {EXECUTOR: 1}, "env_of": {EXECUTOR: {"PAGOS_SERVICE_URL": wire.url}}}


@pytest.fixture
def shop(shop: Shop, wire: Wire) -> Shop:
    wire.target = shop.urls[PAGOS]
    return shop


def wait_past_deadline(shop: Shop, saga_id: str) -> None:
    """Wait so long that a saga that could turn back at its deadline would have done so."""
    deadline = datetime.fromisoformat(shop.saga(saga_id)["created_at"]) + timedelta(seconds=DEADLINE)
    tried = shop.timeline(saga_id)[-1]["started_at"]
    wait_until(lambda: datetime.now(UTC) > deadline, "the deadline is over")
    wait_until(lambda: shop.timeline(saga_id)[-1]["started_at"] > tried, "it is tried again")


def decided_at(shop: Shop, saga_id: str) -> datetime:
    """Return when the saga turned back."""
    (decision,) = shop.timeline(saga_id, kind="compensating")
    return datetime.fromisoformat(decision["started_at"])


def test_a_saga_turns_back_when_a_service_is_away_until_the_deadline(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.system.kill(PAGOS)
    saga_id = shop.begin(cart)
    saga = shop.until_status(saga_id, "compensating", "stuck")
    assert decided_at(shop, saga_id) >= datetime.fromisoformat(saga["created_at"]) + timedelta(seconds=DEADLINE)
    assert saga["error"].startswith("process_payment: pagos: ")
    assert steps_of(saga)["process_payment"] == "failed"
    shop.restart(PAGOS)
    assert shop.became(saga_id) == NOTHING_CHARGED
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


@pytest.mark.parametrize(("service", "step"), [(INVENTARIO, "reserve_inventory"), (CARRITO, "create_order")])
def test_whichever_step_is_late_everything_before_it_is_undone(shop: Shop, wire: Wire, service: str, step: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.restart(EXECUTOR, CALL_SECONDS="20")  # longer than the payment is held
    with wire.hold(PAY, "answer") as payment:
        if step == "reserve_inventory":
            shop.system.kill(service)
            saga_id = shop.begin(cart)
        else:
            saga_id = shop.begin(cart)
            payment.wait()
            shop.system.kill(service)
            payment.release()
        shop.until_status(saga_id, "compensating", "stuck", "compensated")
        assert shop.saga(saga_id)["error"].startswith(f"{step}: {service}: ")
        if not shop.system.alive(service):
            shop.restart(service)
        payment.let_go.set()
        assert shop.became(saga_id).left_nothing
        assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


def test_money_is_given_back_when_it_was_taken_and_the_answer_never_came(shop: Shop, wire: Wire) -> None:
    product = shop.product(quantity=10)
    shop.restart(EXECUTOR, CALL_SECONDS="2", TRIES_PER_ATTEMPT="1")  # longer than it takes to freeze a service
    with wire.hold(PAY, "answer") as payment:
        saga_id = shop.buy(product)
        payment.wait()
        shop.system.freeze(PAGOS)  # so that it does not answer a further try either
        shop.until_status(saga_id, "compensating", "stuck")
        shop.system.thaw(PAGOS)
        assert shop.became(saga_id) == Became("compensated", "open", (), ("refunded",), ("released",))
        assert payment.release() == 201  # late, and no longer awaited
    assert shop.became(saga_id).payments == ("refunded",)
    assert shop.stock(product) == (10, 0, 0)


def test_money_is_not_taken_by_a_request_that_comes_after_its_compensation(shop: Shop, wire: Wire) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    with wire.hold(PAY, "request") as payment:
        shop.system.kill(PAGOS)
        saga_id = shop.begin(cart)
        payment.wait()
        shop.until_status(saga_id, "compensating", "stuck")
        shop.restart(PAGOS)
        assert shop.became(saga_id) == NOTHING_CHARGED
        again = shop.begin(cart)
        assert shop.became(again) == COMPLETED
        assert payment.release() == 409
    assert shop.became(saga_id) == Became("compensated", "checked_out", reservations=("released",))


def test_a_service_that_was_frozen_until_the_deadline_does_and_undoes_its_step(shop: Shop) -> None:
    """All unanswered requests wait for it, in any order."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.system.freeze(PAGOS)
    saga_id = shop.begin(cart)
    shop.until_status(saga_id, "stuck")
    shop.system.thaw(PAGOS)
    assert shop.became(saga_id) in {NOTHING_CHARGED, Became("compensated", "open", (), ("refunded",), ("released",))}
    assert shop.stock(product) == (10, 0, 0)


def test_a_compensation_that_cannot_be_done_is_shown_as_stuck_and_goes_on(shop: Shop) -> None:
    cart = shop.cart((shop.product(), 1))
    shop.system.kill(PAGOS)
    saga_id = shop.begin(cart)
    saga = shop.until_status(saga_id, "stuck")
    assert [each["saga_id"] for each in shop.sagas(status="stuck")["items"]] == [saga_id]
    assert steps_of(saga)["reserve_inventory"] == "succeeded"  # compensations run in reverse order, so this one waits
    (flagged,) = shop.timeline(saga_id, kind="stuck")
    assert flagged["detail"].startswith("pagos: ")
    tried = shop.timeline(saga_id, direction="compensation")[-1]["attempt"]
    wait_until(lambda: shop.timeline(saga_id, direction="compensation")[-1]["attempt"] > tried, "it is tried again")
    shop.restart(PAGOS)
    assert shop.became(saga_id) == NOTHING_CHARGED
    assert shop.sagas(status="stuck")["items"] == []


def test_after_the_pivot_a_saga_only_goes_forward(shop: Shop) -> None:
    """carrito is away from before the confirmation until long after the deadline."""
    product = shop.product(quantity=10)
    shop.restart(INVENTARIO, FAULT_KILL_AT="inventario.POST /api/products/commit.before_answer")
    saga_id = shop.buy(product)
    shop.system.wait_dead(INVENTARIO)
    shop.system.kill(CARRITO)
    shop.restart(INVENTARIO)
    assert shop.until_status(saga_id, "stuck")["error"] is None
    wait_past_deadline(shop, saga_id)
    assert set(steps_of(shop.saga(saga_id)).values()) == {"succeeded"}
    assert shop.timeline(saga_id, direction="compensation") == []
    shop.restart(CARRITO)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_a_pivot_in_doubt_is_requested_again_past_the_deadline(shop: Shop) -> None:
    """The stock was sold, and inventario died before its answer: the deadline must not compensate that."""
    product = shop.product(quantity=10)
    shop.restart(INVENTARIO, FAULT_KILL_AT="inventario.POST /api/products/commit.before_answer")
    saga_id = shop.buy(product)
    shop.system.wait_dead(INVENTARIO)
    wait_past_deadline(shop, saga_id)
    assert shop.saga(saga_id)["status"] in {"running", "stuck"}
    shop.restart(INVENTARIO)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_after_the_pivot_an_operator_can_still_undo_everything(shop: Shop) -> None:
    product = shop.product(quantity=10)
    shop.restart(INVENTARIO, FAULT_KILL_AT="inventario.POST /api/products/commit.before_answer")
    saga_id = shop.buy(product)
    shop.system.wait_dead(INVENTARIO)
    assert shop.compensate(saga_id).status == 202
    shop.restart(INVENTARIO)
    assert shop.became(saga_id) == UNDONE
    assert shop.stock(product) == (10, 0, 0)


def test_a_hold_that_is_over_before_the_sale_turns_the_saga_back(shop: Shop, wire: Wire) -> None:
    product = shop.product(quantity=10)
    shop.restart(INVENTARIO, HOLD_SECONDS="0.3")
    shop.restart("inventario-worker", HOLD_SECONDS="0.3")
    shop.restart(EXECUTOR, CALL_SECONDS="20")  # longer than the payment is held
    cart = shop.cart((product, 1))
    with wire.hold(PAY, "answer") as payment:
        saga_id = shop.begin(cart)
        payment.wait()
        wait_until(lambda: shop.stock(product) == (10, 0, 0), "the hold is over")
        payment.let_go.set()
        assert shop.became(saga_id) == Became("compensated", "open", ("cancelled",), ("refunded",), ("released",))
    assert "is expired" in shop.saga(saga_id)["error"]
    assert shop.stock(product) == (10, 0, 0)


def test_what_carrito_accepted_while_the_orchestrator_was_away_is_handed_over(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.system.kill(ORCHESTRATOR)
    reply = shop.checkout(cart, Prefer="wait=5")
    assert (reply.status, reply.body["status"]) == (202, "pending")
    assert shop.cart_as_it_is(cart)["status"] == "checking_out"
    shop.restart(ORCHESTRATOR)
    saga_id = reply.body["saga_id"]
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_what_carrito_has_not_handed_over_yet_can_be_undone(shop: Shop) -> None:
    """Its handover, which comes later, begins nothing."""
    product = shop.product(quantity=10)
    for name in (ORCHESTRATOR, "carrito-worker"):
        shop.system.kill(name)
    saga_id = shop.checkout(shop.cart((product, 1))).body["saga_id"]
    shop.restart(ORCHESTRATOR)
    assert shop.compensate(saga_id).status == 202
    saga = shop.ended(saga_id)
    assert (saga["status"], shop.cart_as_it_is(saga["cart_id"])["status"]) == ("compensated", "open")
    shop.restart("carrito-worker")
    wait_until(lambda: awaited_handovers(shop) == 0, "it is handed over")
    assert shop.ended(saga_id) == saga
    assert shop.stock(product) == (10, 0, 0)


def awaited_handovers(shop: Shop) -> int:
    audit = requests.get(f"{shop.urls[CARRITO]}/audit", timeout=30).json()
    return int(audit["awaited_handovers"])


def test_a_checkout_that_is_handed_over_again_is_one_and_then_no_more(shop: Shop) -> None:
    """carrito's worker hands it over again, since its service died during the handover, without an answer."""
    product = shop.product(quantity=10)
    shop.restart(ORCHESTRATOR, FAULT_KILL_AT="saga_orchestrator.POST /saga/checkout.before_answer")
    saga_id = shop.buy(product)
    shop.system.wait_dead(ORCHESTRATOR)
    shop.restart(ORCHESTRATOR)
    wait_until(lambda: shop.answered(ORCHESTRATOR, "/saga/checkout") > 0, "it is handed over again")
    wait_until(lambda: awaited_handovers(shop) == 0, "it is known to be")
    assert shop.became(saga_id) == COMPLETED
    assert len(shop.timeline(saga_id, kind="accepted")) == 1
    assert shop.stock(product) == (9, 0, 1)


def test_a_checkout_ends_when_the_services_that_were_away_from_its_start_are_back(shop: Shop) -> None:
    """Only carrito runs when the checkout is accepted."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    away = (INVENTARIO, PAGOS, ORCHESTRATOR, EXECUTOR, "inventario-worker", "carrito-worker")
    for name in away:
        shop.system.kill(name)
    saga_id = shop.begin(cart)
    for name in away:
        shop.restart(name)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)
