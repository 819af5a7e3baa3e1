"""Two of each process side by side, added, killed and stopped in mid-load; `make chaos` does it with up to four."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos import scaling
from tests.e2e.shop import Shop
from tests.system.brokers import Broker
from tests.system.temporal import TEMPORAL, engine_of_run

CHECKOUTS = 40  # in each stage
SEED = 9  # with so few checkouts: of carts for which either wallet has enough


@pytest.mark.skipif(engine_of_run() == TEMPORAL, reason="counts leases of the built-in engine")
def test_processes_that_are_added_and_killed_do_nothing_twice_but_what_the_killed_had_under_way(
    start_system: Callable[..., Any], fresh_database_url: str, broker: Broker, rabbitmq_url: str
) -> None:
    system = start_system(
        rabbitmq_url=rabbitmq_url, copies=scaling.processes(2), standby=scaling.numbered([2]), env=scaling.ENV
    )
    shop = Shop(system, fresh_database_url)
    report = scaling.run(shop, scaling.Meter(shop, broker, rabbitmq_url), (2,), CHECKOUTS, chance=random.Random(SEED))
    assert not report.wrong, str(report)
