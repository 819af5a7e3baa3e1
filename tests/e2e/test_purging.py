"""Workers purge rows past their retention during checkouts of every kind, without affecting them."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.pool import NullPool

from shared.purging.purge import BATCH
from shared.testing import wait_until
from tests.e2e.customers import CUSTOMERS, Customers
from tests.e2e.shop import CHOREOGRAPHY, QUICK, Shop
from tests.integration.aging import DAY, purges, row_of_age, time_of
from tests.system.servers import SERVICES

CHECKOUTS = 160  # enough for payments from each wallet
BACKLOG = 4 * BATCH  # rows of each table, enough to purge during all checkouts
OLD_DAYS = 1000.0


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    """Workers purge continuously, and not once a minute."""
    return {"rabbitmq_url": broker_url, "env": {**QUICK, "PURGE_SECONDS": "0.05"}}


def test_purging_disturbs_no_checkout_and_no_checkout_stops_the_purge(shop: Shop) -> None:
    engine = create_engine(shop.database_url, poolclass=NullPool)
    customers = Customers(shop, random.Random(1), CHECKOUTS)
    declared = [each for service in SERVICES for each in purges(service)]

    def oldest_days() -> float:
        with engine.begin() as connection:
            return max(float(connection.scalar(text(each.oldest_sql())) or 0) for each in declared) / DAY

    with engine.begin() as connection:
        now = time_of(connection)
        for each in declared:
            rows = [row_of_age(now, each, OLD_DAYS * DAY + number) for number in range(BACKLOG)]
            connection.execute(insert(each.table), rows)
    assert oldest_days() > OLD_DAYS / 2
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        for served in [pool.submit(customers.insist, purchase) for purchase in customers.purchases]:
            served.result()
    wait_until(lambda: oldest_days() < 1, "all that is old is gone", seconds=600)
    shop.until_quiet()
    customers.check()
    assert shop.get(CHOREOGRAPHY, "/saga/choreography/dead-letters").body["items"] == []
    with engine.begin() as connection:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.scalar(text(deadlocks)) == 0
    engine.dispose()
