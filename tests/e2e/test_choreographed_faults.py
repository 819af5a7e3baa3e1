"""What becomes of choreographed checkouts whose steps, messages and consumers suffer faults that were switched on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from shared.testing import wait_until
from tests.e2e.shop import CARRITO, CHOREOGRAPHED, COMPLETED, INVENTARIO, PAGOS, PATIENCE, Became, Shop
from tests.system.brokers import Broker
from tests.system.queues import Queues

DOES = {
    "reserve_inventory": INVENTARIO,
    "process_payment": PAGOS,
    "create_order": CARRITO,
    "commit_inventory": INVENTARIO,
}
Switch = Callable[..., None]


@pytest.fixture(scope="module")
def broker_url(broker: Broker) -> Iterator[str]:
    url = broker.create()
    yield url
    broker.drop(url)


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    return {"rabbitmq_url": broker_url, "env": {"FAULTS": "true"}}


@pytest.fixture
def switch(shop: Shop) -> Iterator[Switch]:
    """Switches a fault on at a service; all are off again in the end."""

    def on(service: str, name: str, **body: Any) -> None:
        answer = requests.put(f"{shop.urls[service]}/faults/{name}", json=body, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text

    yield on
    for service in set(DOES.values()):
        lift(shop, service)


def lift(shop: Shop, service: str) -> None:
    assert requests.delete(f"{shop.urls[service]}/faults", timeout=PATIENCE).status_code == 200


def fired(shop: Shop, service: str, saga_id: str) -> dict[str, int]:
    """How often each fault happened to a saga there."""
    told = shop.get(service, f"/faults?saga_id={saga_id}").body["fired"]
    return {each["name"]: each["fired"] for each in told}


def buy(shop: Shop, product: int) -> str:
    return shop.buy(product, 2, pattern=CHOREOGRAPHED)


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
    assert shop.stock(product) == (10, 0, 0)


def test_a_compensation_that_fails_is_tried_until_it_is_done(shop: Shop, switch: Switch) -> None:
    switch(CARRITO, "refuse", step="create_order")
    switch(PAGOS, "fail_undo", step="process_payment", times=3)
    saga_id = buy(shop, shop.product())
    assert shop.became(saga_id).left_nothing
    assert fired(shop, PAGOS, saga_id) == {"fail_undo": 3}


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_worker_that_is_killed_leaves_its_message_to_the_next(shop: Shop, switch: Switch, point: str) -> None:
    switch(PAGOS, "kill", step="process_payment", times=1, point=point)
    saga_id = buy(shop, shop.product())
    wait_until(lambda: not shop.system.alive("pagos-worker"), "the worker dies", PATIENCE)
    shop.restart("pagos-worker")
    assert shop.became(saga_id) == COMPLETED


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


def test_a_delayed_message_comes_later_and_only_then(shop: Shop, switch: Switch) -> None:
    switch(PAGOS, "delay_message", step="create_order", times=1, milliseconds=700)
    saga_id = buy(shop, shop.product())
    assert shop.became(saga_id) == COMPLETED
    [held] = shop.timeline(saga_id, event="payment.processed")
    late = datetime.fromisoformat(held["received_at"]) - datetime.fromisoformat(held["started_at"])
    assert late >= timedelta(milliseconds=700)


def test_a_paused_consumer_takes_nothing_until_it_is_lifted(shop: Shop, switch: Switch) -> None:
    switch(PAGOS, "pause_consumer")
    saga_id = buy(shop, shop.product())
    shop.until(saga_id, lambda saga: saga["steps"][0]["status"] == "succeeded", "has its stock")
    lifted_at = datetime.now(UTC)
    lift(shop, PAGOS)
    assert shop.became(saga_id) == COMPLETED
    [paid] = shop.timeline(saga_id, event="payment.processed")
    assert datetime.fromisoformat(paid["started_at"]) >= lifted_at


def test_a_service_delays_and_repeats_only_messages_of_its_own(shop: Shop) -> None:
    shown = shop.get(INVENTARIO, "/faults").body
    assert shown["messages"] == ["process_payment", "confirm_order", "release_cart"]
    answer = requests.put(
        f"{shop.urls[INVENTARIO]}/faults/deliver_twice", json={"step": "create_order", "times": 1}, timeout=PATIENCE
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "step")
