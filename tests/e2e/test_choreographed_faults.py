"""The results of choreographed checkouts with injected faults of steps, messages and consumers."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests

from shared.testing import concurrently, wait_until
from tests.e2e.faulty import DOES, Switch, lift, switch
from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    COMPLETED,
    HANG_SECONDS,
    INVENTARIO,
    ORCHESTRATED,
    ORCHESTRATOR,
    PAGOS,
    WINDOWS,
    Became,
    Shop,
    problem,
)
from tests.system.queues import Queues

__all__ = ["switch"]

OUTCOME = {
    "reserve_inventory": "inventory.reserved",
    "process_payment": "payment.processed",
    "create_order": "order.created",
    "commit_inventory": "inventory.committed",
}


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    return {"rabbitmq_url": broker_url, "env": {"FAULTS": "true", "HANDOVER_SECONDS": "0.5"}}


def fired(shop: Shop, service: str, saga_id: str) -> dict[str, int]:
    """Return how often each fault happened to a saga at this service."""
    told = shop.get(service, f"/faults?saga_id={saga_id}").body["fired"]
    return {each["name"]: each["fired"] for each in told}


def marks_of(shop: Shop, saga_id: str) -> dict[str, str]:
    """Return by event the injected faults that it reports, of its step or of itself."""
    return {entry["event"]: entry["fault"] for entry in shop.timeline(saga_id) if entry["fault"]}


def buy(shop: Shop, product: int) -> str:
    return shop.buy(product, 2, style=CHOREOGRAPHED)


@pytest.mark.parametrize("step", DOES)
@pytest.mark.parametrize("name", ["unavailable", "lose_answer", "slow"])
def test_a_step_that_fails_or_comes_again_is_done_once(shop: Shop, switch: Switch, step: str, name: str) -> None:
    extra = {"milliseconds": 50} if name == "slow" else {}
    switch(DOES[step], name, step=step, times=2, **extra)
    product = shop.product(quantity=10)
    saga_id = buy(shop, product)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (8, 0, 2)
    wait_until(lambda: name in fired(shop, DOES[step], saga_id), f"{name} happened")
    assert marks_of(shop, saga_id) == {OUTCOME[step]: name}


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("reserve_inventory", Became("compensated", "open")),
        ("process_payment", Became("compensated", "open", (), (), ("released",))),
        ("create_order", Became("compensated", "open", (), ("refunded",), ("released",))),
    ],
)
def test_a_refused_step_turns_its_saga_back(shop: Shop, switch: Switch, step: str, left: Became) -> None:
    switch(DOES[step], "refuse", step=step)
    product = shop.product(quantity=10)
    saga_id = buy(shop, product)
    assert shop.became(saga_id) == left
    assert "on purpose" in shop.saga(saga_id)["error"]
    assert set(marks_of(shop, saga_id).values()) == {"refuse"}
    assert shop.stock(product) == (10, 0, 0)


def test_a_compensation_that_fails_is_tried_until_it_is_done(shop: Shop, switch: Switch) -> None:
    switch(CARRITO, "refuse", step="create_order")
    switch(PAGOS, "fail_undo", step="process_payment", times=3)
    saga_id = buy(shop, shop.product())
    assert shop.became(saga_id).left_nothing
    assert fired(shop, PAGOS, saga_id) == {"fail_undo": 3}
    assert marks_of(shop, saga_id) == {"order.create.failed": "refuse", "payment.refunded": "fail_undo"}


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_worker_that_is_killed_leaves_its_message_to_the_next(shop: Shop, switch: Switch, point: str) -> None:
    switch(PAGOS, "kill", step="process_payment", times=1, point=point)
    saga_id = buy(shop, shop.product())
    wait_until(lambda: not shop.system.alive("pagos-worker"), "the worker dies", HANG_SECONDS)
    shop.restart("pagos-worker")
    assert shop.became(saga_id) == COMPLETED
    assert marks_of(shop, saga_id) == {"payment.processed": "kill"}


def test_a_message_that_is_delivered_twice_is_acted_on_once(shop: Shop, switch: Switch, broker_url: str) -> None:
    queues = Queues(broker_url)
    queues.tap("tap", "inventory.reserved")
    switch(INVENTARIO, "deliver_twice", step="process_payment", times=1)
    saga_id = buy(shop, shop.product())
    assert shop.became(saga_id) == COMPLETED
    copies = [message for message in queues.take("tap") if saga_id in message.body.decode()]
    queues.delete("tap")
    assert len(copies) == 2
    assert len({(message.properties.headers or {})["ce-id"] for message in copies}) == 1
    assert marks_of(shop, saga_id) == {"inventory.reserved": "deliver_twice"}


def test_a_delayed_message_comes_later_and_only_then(shop: Shop, switch: Switch) -> None:
    switch(PAGOS, "delay_message", step="create_order", times=1, milliseconds=700)
    saga_id = buy(shop, shop.product())
    assert shop.became(saga_id) == COMPLETED
    [held] = shop.timeline(saga_id, event="payment.processed")
    late = datetime.fromisoformat(held["received_at"]) - datetime.fromisoformat(held["started_at"])
    assert late >= timedelta(milliseconds=700)
    assert marks_of(shop, saga_id) == {"payment.processed": "delay_message"}
    [waited] = shop.timeline(saga_id, event="order.created")
    taken = datetime.fromisoformat(waited["taken_at"])
    assert taken - datetime.fromisoformat(held["started_at"]) >= timedelta(milliseconds=700), "it waited so long"
    assert datetime.fromisoformat(waited["started_at"]) >= taken


def test_a_paused_consumer_takes_nothing_until_it_is_lifted(shop: Shop, switch: Switch) -> None:
    switch(PAGOS, "pause_consumer")
    saga_id = buy(shop, shop.product())
    shop.until(saga_id, lambda saga: saga["steps"][0]["status"] == "succeeded", "has its stock")
    lifted_at = datetime.now(UTC)
    lift(shop, PAGOS)
    assert shop.became(saga_id) == COMPLETED
    [paid] = shop.timeline(saga_id, event="payment.processed")
    assert datetime.fromisoformat(paid["started_at"]) >= lifted_at
    assert datetime.fromisoformat(paid["taken_at"]) >= lifted_at, "until then its cause waited"
    assert marks_of(shop, saga_id) == {"payment.processed": "pause_consumer"}


def test_what_a_checkout_names_happens_also_to_what_an_operator_begins(shop: Shop) -> None:
    reply = shop.checkout(shop.cart((shop.product(), 1)), style=CHOREOGRAPHED, X_Fault="process_payment=fail_undo*2")
    saga_id = str(reply.body["saga_id"])
    assert shop.became(saga_id) == COMPLETED
    assert shop.compensate(saga_id).status == 202
    shop.until_status(saga_id, "compensated")
    assert fired(shop, PAGOS, saga_id) == {"fail_undo": 2}
    assert marks_of(shop, saga_id) == {"payment.refunded": "fail_undo"}


def test_a_service_delays_and_repeats_only_messages_of_its_own(shop: Shop) -> None:
    shown = shop.get(INVENTARIO, "/faults").body
    assert shown["messages"] == ["process_payment", "confirm_order", "release_cart"]
    answer = requests.put(
        f"{shop.urls[INVENTARIO]}/faults/deliver_twice", json={"step": "create_order", "times": 1}, timeout=HANG_SECONDS
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "step")


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
@pytest.mark.parametrize("directly", [False, True], ids=["by carrito", "directly"])
def test_a_checkout_names_what_its_saga_is_to_suffer_and_no_other_saga_does(
    shop: Shop, style: str, directly: bool
) -> None:
    way = WINDOWS[style][0] if directly else CARRITO
    cart, other = (shop.cart((shop.product(), 1)) for _ in range(2))
    wanted = "reserve_inventory=unavailable*2, process_payment=lose_answer"
    wanted += ",process_payment=fail_undo*2,create_order=refuse"
    reply = shop.checkout(cart, way=way, style=style, X_Fault=wanted)
    assert reply.status == 202, reply.body
    assert shop.became(shop.begin(other, way=way, style=style)) == COMPLETED
    saga_id = reply.body["saga_id"]
    assert shop.became(saga_id).left_nothing
    assert "create_order was refused on purpose" in shop.saga(saga_id)["error"]
    assert fired(shop, INVENTARIO, saga_id) == {"unavailable": 2}
    assert fired(shop, PAGOS, saga_id) == {"lose_answer": 1, "fail_undo": 2}
    assert fired(shop, CARRITO, saga_id) == {"refuse": 1}


@pytest.mark.parametrize("style", [ORCHESTRATED, CHOREOGRAPHED])
def test_many_that_begin_together_suffer_each_their_own(shop: Shop, style: str) -> None:
    way = WINDOWS[style][0]
    carts = [shop.cart((shop.product(), 1)) for _ in range(12)]
    wanted = ["process_payment=refuse", "process_payment=unavailable*1", None]

    def begin(number: int) -> str:
        fault = wanted[number % 3]
        headers = {} if fault is None else {"X_Fault": fault}
        return str(shop.checkout(carts[number], way=way, style=style, **headers).body["saga_id"])

    sagas = concurrently(*[partial(begin, number) for number in range(len(carts))])
    assert [shop.became(saga_id).saga for saga_id in sagas] == ["compensated", "completed", "completed"] * 4
    assert [fired(shop, PAGOS, saga_id) for saga_id in sagas] == [{"refuse": 1}, {"unavailable": 1}, {}] * 4


def test_a_checkout_that_is_handed_over_later_brings_its_faults(shop: Shop) -> None:
    cart = shop.cart((shop.product(), 1))
    shop.system.kill(ORCHESTRATOR)
    saga_id = str(shop.checkout(cart, X_Fault="process_payment=refuse").body["saga_id"])
    shop.restart(ORCHESTRATOR)
    shop.know(saga_id, ORCHESTRATED)
    shop.until_status(saga_id, "compensated")
    assert fired(shop, PAGOS, saga_id) == {"refuse": 1}


def test_what_makes_no_sense_begins_no_checkout(shop: Shop) -> None:
    cart = shop.cart((shop.product(), 1))
    for way in (CARRITO, ORCHESTRATOR):
        refused = problem(shop.checkout(cart, way=way, X_Fault="process_payment=explode"), 422)
        assert refused["field"] == "name"
    assert shop.cart_as_it_is(cart)["status"] == "open"
