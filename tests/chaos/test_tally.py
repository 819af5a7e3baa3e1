"""What is lost, doubled, stuck or otherwise wrong is noticed by those who count what became of all checkouts."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.e2e import shop as shops
from tests.e2e.customers import CUSTOMERS, Customers
from tests.e2e.shop import EXECUTOR, ORCHESTRATED, QUICK, SEPARATE, Shop
from tests.system.brokers import Broker

CHECKOUTS = 120


@pytest.fixture(scope="module")
def shop_settings(broker: Broker) -> dict[str, object]:
    return {"rabbitmq_url": broker.create(), "env": {**QUICK, **SEPARATE}, "copies": {EXECUTOR: 1}}


@pytest.fixture
def customers(shop: Shop) -> Customers:
    """They were all served, and nothing was wrong."""
    customers = Customers(shop, random.Random(1), CHECKOUTS)
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        list(pool.map(customers.insist, customers.purchases))
    tally = customers.tally()
    assert tally.clean, tally
    assert sum(tally.outcomes.values()) == CHECKOUTS
    return customers


def test_what_should_not_be_is_told_by_kind(shop: Shop, customers: Customers, monkeypatch: pytest.MonkeyPatch) -> None:
    completed = {each: it for each, it in customers.sagas.items() if shop.became(each).saga == "completed"}
    (done, purchase), *_ = [(each, it) for each, it in completed.items() if it.style == ORCHESTRATED]
    # More was reserved than was wanted.
    doubled, two = next((each, it) for each, it in completed.items() if each != done and len(it.lines) == 2)
    customers.sagas[doubled] = replace(two, lines=two.lines[:1])
    # Undone, and nobody of the customers requested it.
    shop.compensate(done)
    shop.until_status(done, "compensated")
    # A saga that nobody requested.
    shop.ended(shop.buy(shop.product(), style=ORCHESTRATED))
    # Money of a wallet that nobody spent.
    shop.deposit("1.00", "ana")
    # One that was accepted, and is unknown.
    unknown = str(uuid4())
    customers.sagas[unknown] = purchase
    # One that doesn't end.
    shop.system.freeze(EXECUTOR)
    stuck = shop.buy(shop.product(), style=ORCHESTRATED)
    customers.sagas[stuck] = purchase
    monkeypatch.setattr(shops, "HANG_SECONDS", 3.0)
    tally = customers.tally()
    shop.system.thaw(EXECUTOR)
    assert not tally.clean
    assert (tally.lost, tally.stuck) == ([unknown], [stuck])
    assert (heads(tally.doubled), heads(tally.wrong)) == ([doubled], [done])
    assert {"sagas", "accepted", "wallet of ana"} <= set(heads(tally.books))


def heads(lines: list[str]) -> list[str]:
    return [line.split(":")[0] for line in lines]
