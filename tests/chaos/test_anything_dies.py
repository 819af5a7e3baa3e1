"""Everything fails again and again, during checkouts of every kind in both styles; all of them end as they should.

`make chaos` does the same for longer.
"""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos import campaign
from tests.chaos.faults import Faults, Wires
from tests.e2e.shop import EXECUTOR, Shop
from tests.system import temporal
from tests.system.brokers import OwnBroker
from tests.system.own_postgres import OwnPostgres, databases, own_postgres
from tests.system.temporal import OwnTemporal

__all__ = ["databases", "own_postgres"]

CHECKOUTS = 280  # enough for one turn of all faults


@pytest.fixture(scope="module")
def wires() -> Iterator[Wires]:
    with Wires() as wires:
        yield wires


@pytest.fixture(scope="module")
def own_temporal() -> Iterator[OwnTemporal | None]:
    with temporal.own_temporal() as server:
        yield server


@pytest.fixture(scope="module")
def shop_settings(own_rabbitmq: OwnBroker, own_temporal: OwnTemporal | None, wires: Wires) -> dict[str, Any]:
    env = {**campaign.ENV, **wires.env, **temporal.settings_of(own_temporal)}
    return {"rabbitmq_url": own_rabbitmq.create(), "env": env, "copies": {EXECUTOR: 2}}


def test_everything_ends_as_it_should_whatever_fails(
    shop: Shop, own_postgres: OwnPostgres, own_rabbitmq: OwnBroker, own_temporal: OwnTemporal | None, wires: Wires
) -> None:
    behind = wires.shop(shop.system, shop.database_url)
    faults = Faults(behind, own_postgres, own_rabbitmq, wires, random.Random(1), temporal=own_temporal)
    report = campaign.run(behind, faults, CHECKOUTS, random.Random(1))
    assert report.clean, str(report)
