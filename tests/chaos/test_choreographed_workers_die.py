"""kill -9 of a service's worker at each point of handling an event: the checkout ends as without it.

Before the commit nothing has happened. After the commit and before the acknowledgement, the following events are in the
outbox. Events published before they were marked as sent are published again.
"""

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from shared.testing import wait_until
from tests.chaos.answering import ask_while_it_dies
from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    COMPLETED,
    DECLINED,
    INVENTARIO,
    PAGOS,
    QUICK,
    UNDONE,
    Shop,
    problem,
)

WORKERS = {service: f"{service}-worker" for service in (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY)}
# The number of events that each service handles, one after the other: forward, and when all of that is compensated.
FORWARD, BACKWARD = {INVENTARIO: 2, PAGOS: 1, CARRITO: 2}, {INVENTARIO: 2, CARRITO: 2, PAGOS: 1}
POINTS = ["before_commit", "before_ack", "before_marking"]
ANYWHERE = pytest.mark.parametrize(("point", "nth"), [*product(POINTS[:2], [1, 2]), (POINTS[2], 1)])
AT_EACH = pytest.mark.parametrize("point", POINTS)


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    return {"rabbitmq_url": broker_url, "env": QUICK}


def doom(shop: Shop, point: str, nth: int, events: Mapping[str, int]) -> list[str]:
    """Have the worker of each service die when it reaches the point for the nth time; return these workers."""
    doomed = [service for service, count in events.items() if nth <= count]
    for service in doomed:
        shop.restart(WORKERS[service], FAULT_KILL_AT=f"{service}.worker.{point}#{nth}")
    return doomed


def revive(shop: Shop, doomed: list[str]) -> None:
    """Restart the workers, one after the other, when they have died."""
    waiting = set(doomed)
    while waiting:
        service = wait_until(
            lambda: next((each for each in waiting if shop.system.fault_fired(WORKERS[each])), None),
            f"one of {waiting} dies",
        )
        assert service is not None
        shop.system.wait_dead(WORKERS[service])
        end_leases(shop, service)
        shop.restart(WORKERS[service])
        waiting.remove(service)


def end_leases(shop: Shop, service: str) -> None:
    """End the leases under which the dead worker had claimed events; in production they take seconds."""
    engine = create_engine(shop.database_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {service}.outbox SET due_at = now()"))
    engine.dispose()


def assert_told_once(shop: Shop, saga_id: str) -> None:
    """Check that each event was published once, or several times as the same event."""
    told = [entry["event"] for entry in shop.timeline(saga_id, kind="event")]
    assert len(told) == len(set(told))


@ANYWHERE
def test_a_success_is_completed_though_the_worker_of_every_service_dies(shop: Shop, point: str, nth: int) -> None:
    shelf = shop.product(quantity=10)
    cart = shop.cart((shelf, 1))
    doomed = doom(shop, point, nth, FORWARD)
    saga_id = shop.begin(cart, style=CHOREOGRAPHED)
    revive(shop, doomed)
    assert shop.became(saga_id) == COMPLETED
    assert_told_once(shop, saga_id)
    assert shop.stock(shelf) == (9, 0, 1)


@ANYWHERE
def test_a_completed_checkout_is_undone_though_the_worker_of_every_service_dies(
    shop: Shop, point: str, nth: int
) -> None:
    shelf = shop.product(quantity=10)
    saga_id = shop.buy(shelf, style=CHOREOGRAPHED)
    assert shop.became(saga_id) == COMPLETED
    doomed = doom(shop, point, nth, BACKWARD)
    assert shop.compensate(saga_id).status == 202
    revive(shop, doomed)
    assert shop.became(saga_id) == UNDONE
    assert_told_once(shop, saga_id)
    assert shop.stock(shelf) == (10, 0, 0)


@AT_EACH
def test_a_declined_checkout_is_undone_though_the_workers_die_that_undo_it(shop: Shop, point: str) -> None:
    shelf = shop.product(quantity=10)
    cart = shop.cart((shelf, 1))
    doomed = doom(shop, point, 1, {PAGOS: 1, CARRITO: 1}) + doom(shop, point, 2, {INVENTARIO: 2})
    saga_id = shop.begin(cart, "declined_card", style=CHOREOGRAPHED)
    revive(shop, doomed)
    assert shop.became(saga_id) == DECLINED
    assert_told_once(shop, saga_id)
    assert shop.became(shop.begin(cart, style=CHOREOGRAPHED)) == COMPLETED


@AT_EACH
def test_the_window_shows_all_of_a_checkout_though_its_worker_dies(shop: Shop, point: str) -> None:
    """Also when it dies while it publishes its only event: the request of a compensation."""
    shelf = shop.product(quantity=10)
    doomed = doom(shop, point, 1, {CHOREOGRAPHY: 1})
    saga_id = shop.buy(shelf, style=CHOREOGRAPHED)
    if point != "before_marking":
        revive(shop, doomed)
    assert shop.became(saga_id) == COMPLETED
    assert shop.compensate(saga_id).status == 202
    if point == "before_marking":
        revive(shop, doomed)
    assert shop.became(saga_id) == UNDONE
    assert_told_once(shop, saga_id)


@pytest.mark.parametrize(
    ("way", "service", "endpoint"),
    [
        (CARRITO, CARRITO, "POST /checkout/saga"),
        (CARRITO, CHOREOGRAPHY, "POST /saga/choreography/checkout"),
        (CHOREOGRAPHY, CHOREOGRAPHY, "POST /saga/choreography/checkout"),
        (CHOREOGRAPHY, CARRITO, "POST /carts/<cart_id>/checkout"),
    ],
)
def test_a_checkout_that_was_begun_ends_though_its_way_in_dies(
    shop: Shop, way: str, service: str, endpoint: str
) -> None:
    """A repeated request under the same key, as from a client without an answer, names the same saga."""
    shelf, key = shop.product(quantity=10), uuid4().hex
    cart = shop.cart((shelf, 1))
    ask = partial(shop.checkout, cart, way=way, style=CHOREOGRAPHED, Idempotency_Key=key)
    ask_while_it_dies(shop, ask, way, service, endpoint)
    wait_until(lambda: shop.cart_as_it_is(cart)["status"] == "checked_out", "it ends")
    again = ask()
    assert again.status == 202
    assert shop.became(again.body["saga_id"]) == COMPLETED
    assert shop.cart_as_it_is(cart)["saga_id"] == again.body["saga_id"]
    assert shop.stock(shelf) == (9, 0, 1)
    assert problem(shop.checkout(cart, style=CHOREOGRAPHED), 409)["saga_id"] == again.body["saga_id"]
