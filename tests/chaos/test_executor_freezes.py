"""An executor is frozen during a call, for longer than its lease; another one completes its sagas; then it continues.

It changes nothing then, and no effect is doubled.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from shared.database.connections import connect_args
from shared.testing import concurrently, wait_until
from tests.e2e.shop import COMPLETED, DECLINED, EXECUTOR, PAGOS, QUICK, SEPARATE, UNDONE, Became, Shop, attempts_of
from tests.e2e.wire import Held, Wire

FROZEN, OTHER = f"{EXECUTOR}-1", f"{EXECUTOR}-2"
PAY, REFUND = "POST /api/v1/payments/saga", "POST /api/v1/payments/saga/.*/refund"
BOTH_ENDS = pytest.mark.parametrize("where", ["request", "answer"])


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A wire between the executors and pagos."""
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def shop_settings(wire: Wire) -> dict[str, Any]:
    """The forward deadline is short, so that tests can wait for it."""
    env = {**QUICK, **SEPARATE, "LEASE_SECONDS": "0.5", "CALL_SECONDS": "10", "FORWARD_DEADLINE_SECONDS": "2"}
    return {"env": env, "copies": {EXECUTOR: 2}, "env_of": {EXECUTOR: {"PAGOS_SERVICE_URL": wire.url}}}


@pytest.fixture
def shop(shop: Shop, wire: Wire) -> Shop:
    wire.target = shop.urls[PAGOS]
    return shop


@contextmanager
def frozen_in(shop: Shop, wire: Wire, call: str, where: str, *checkout_body: str) -> Iterator[tuple[str, Held]]:
    """Yield a saga whose executor froze during this call's request or answer; the other executor is frozen, too."""
    shop.system.freeze(OTHER)
    with wire.hold(call, where) as held:
        saga_id = shop.begin(*checkout_body)
        held.wait()
        shop.system.freeze(FROZEN)
        yield saga_id, held


def times_lost(shop: Shop, saga_id: str) -> int:
    """Count how often the executor that was frozen has logged that it lost the saga.

    For a result that it had for Temporal, it does not log the saga's id.
    """
    logged = [json.loads(line) for line in shop.system.log(FROZEN).splitlines()]
    return sum(
        (entry["event"] == "lease lost" and entry["saga_id"] == saga_id) or "not found" in entry["event"]
        for entry in logged
    )


def turn_back(shop: Shop, saga_id: str) -> None:
    """Turn the saga back; repeated while the answer is "not now", since the frozen executor may hold the row's lock."""
    wait_until(lambda: shop.compensate(saga_id).status == 202, "the saga is turned back")


def wake(shop: Shop, saga_id: str) -> None:
    """Thaw the executor, and check that it has noticed the loss of the saga and changed nothing."""
    before, lost = (shop.saga(saga_id), shop.timeline(saga_id), shop.became(saga_id)), times_lost(shop, saga_id)
    shop.system.thaw(FROZEN)
    wait_until(lambda: times_lost(shop, saga_id) > lost, "it has noticed")
    assert (shop.saga(saga_id), shop.timeline(saga_id), shop.became(saga_id)) == before


@BOTH_ENDS
def test_another_completes_what_the_frozen_one_was_doing(shop: Shop, wire: Wire, where: str) -> None:
    product = shop.product(quantity=10)
    with frozen_in(shop, wire, PAY, where, shop.cart((product, 1))) as (saga_id, held):
        shop.system.thaw(OTHER)
        assert shop.became(saga_id) == COMPLETED
        assert held.release() == 201
        wake(shop, saga_id)
    assert shop.stock(product) == (9, 0, 1)


@BOTH_ENDS
def test_another_decides_to_compensate_while_the_frozen_one_would_go_forward(
    shop: Shop, wire: Wire, where: str
) -> None:
    """Whether the money was taken, or the request for it arrives after the refund."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    with frozen_in(shop, wire, PAY, where, cart) as (saga_id, held):
        shop.system.kill(PAGOS)
        shop.system.thaw(OTHER)
        shop.until_status(saga_id, "compensating", "stuck")
        shop.restart(PAGOS)
        payments = ("refunded",) if where == "answer" else ()
        assert shop.became(saga_id) == Became("compensated", "open", (), payments, ("released",))
        assert held.release() == (201 if where == "answer" else 409)
        wake(shop, saga_id)
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(shop.begin(cart)) == COMPLETED


@BOTH_ENDS
def test_an_operator_turns_back_what_the_frozen_one_was_doing(shop: Shop, wire: Wire, where: str) -> None:
    product = shop.product(quantity=10)
    with frozen_in(shop, wire, PAY, where, shop.cart((product, 1))) as (saga_id, held):
        turn_back(shop, saga_id)
        shop.system.thaw(OTHER)
        assert shop.became(saga_id).left_nothing
        held.release()
        wake(shop, saga_id)
    assert shop.stock(product) == (10, 0, 0)


def test_a_sale_that_was_undone_stays_undone_when_the_frozen_one_would_confirm_it(shop: Shop, wire: Wire) -> None:
    product = shop.product(quantity=10)
    with frozen_in(shop, wire, PAY, "answer", shop.cart((product, 1))) as (saga_id, held):
        shop.system.thaw(OTHER)
        assert shop.became(saga_id) == COMPLETED
        turn_back(shop, saga_id)
        assert shop.became(saga_id) == UNDONE
        held.release()
        wake(shop, saga_id)
    assert shop.stock(product) == (10, 0, 0)


def test_a_cart_that_another_saga_has_by_now_is_not_opened_by_the_frozen_one(shop: Shop, wire: Wire) -> None:
    """It was refunding the money, and would have released the cart next."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    with frozen_in(shop, wire, REFUND, "answer", cart, "declined_card") as (saga_id, held):
        shop.system.thaw(OTHER)
        assert shop.became(saga_id) == DECLINED
        again = shop.begin(cart)
        assert shop.became(again) == COMPLETED
        held.release()
        wake(shop, saga_id)
    assert shop.became(again) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)


def test_all_the_sagas_in_a_frozen_hand_are_completed_and_it_works_on_when_it_wakes(shop: Shop) -> None:
    product = shop.product(quantity=100)
    carts = [shop.cart((product, 1)) for _ in range(8)]
    shop.system.freeze(OTHER)
    shop.system.freeze(PAGOS)
    sagas = concurrently(*[partial(shop.begin, cart) for cart in carts])
    for saga_id in sagas:
        shop.until_requested(saga_id, "process_payment")
    shop.system.freeze(FROZEN)
    shop.system.thaw(PAGOS)
    shop.system.thaw(OTHER)
    for saga_id in sagas:
        assert shop.became(saga_id) == COMPLETED
    shop.system.thaw(FROZEN)
    wait_until(lambda: all(times_lost(shop, saga_id) for saga_id in sagas), "it has noticed")
    shop.system.freeze(OTHER)
    assert shop.became(shop.buy(product)) == COMPLETED
    assert shop.stock(product) == (91, 0, 9)


def test_nobody_takes_a_saga_from_an_executor_that_is_well(shop: Shop) -> None:
    """Its call takes longer than a lease, which is renewed meanwhile."""
    for executor in (FROZEN, OTHER):
        shop.restart(executor, LEASE_SECONDS="1")
    cart = shop.cart((shop.product(), 1))
    shop.system.freeze(PAGOS)
    saga_id = shop.begin(cart)
    saga = shop.until_requested(saga_id, "process_payment")
    leases_later = datetime.fromisoformat(saga["created_at"]) + timedelta(seconds=2.5)
    wait_until(lambda: datetime.now(UTC) > leases_later, "its first lease is long over")
    shop.system.thaw(PAGOS)
    assert shop.became(saga_id) == COMPLETED
    assert set(attempts_of(shop.saga(saga_id)).values()) == {1}
    assert len({entry["executor"] for entry in shop.timeline(saga_id, kind="attempt")}) == 1


def test_who_freezes_in_the_middle_of_a_transaction_does_not_keep_others_from_the_saga(shop: Shop) -> None:
    """It holds the lock of the saga's row until the server ends its transaction."""
    cart = shop.cart((shop.product(), 1))
    shop.system.freeze(FROZEN)
    shop.system.freeze(OTHER)
    saga_id = shop.begin(cart)
    engine = create_engine(shop.database_url, connect_args=connect_args("saga_orchestrator"))
    with engine.connect() as connection:
        connection.execute(text("SELECT FROM sagas WHERE saga_id = :id FOR UPDATE"), {"id": saga_id})
        shop.system.thaw(OTHER)
        assert shop.became(saga_id).saga in {"completed", "compensated"}
        connection.invalidate()
    engine.dispose()
