"""The tally of all checkouts notices what is lost, doubled, stuck or otherwise wrong."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.e2e import shop as shops
from tests.e2e.customers import CUSTOMERS, Customers
from tests.e2e.shop import EXECUTOR, ORCHESTRATED, QUICK, SEPARATE, Shop

CHECKOUTS = 120


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, object]:
    return {"rabbitmq_url": broker_url, "env": {**QUICK, **SEPARATE}, "copies": {EXECUTOR: 1}}


@pytest.fixture
def customers(shop: Shop) -> Customers:
    """Customers who were all served, without any error."""
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
    # More is reserved than was wanted.
    doubled, two = next((each, it) for each, it in completed.items() if each != done and len(it.lines) == 2)
    customers.sagas[doubled] = replace(two, lines=two.lines[:1])
    # A saga was compensated, and no customer requested it.
    shop.compensate(done)
    shop.until_status(done, "compensated")
    # A saga was requested by nobody.
    shop.ended(shop.buy(shop.product(), style=ORCHESTRATED))
    # A wallet has less money than its purchases took.
    shop.deposit("1.00", "ana")
    # An accepted saga is unknown.
    unknown = str(uuid4())
    customers.sagas[unknown] = purchase
    # A saga does not end.
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
