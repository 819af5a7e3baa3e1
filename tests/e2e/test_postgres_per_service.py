"""Each service on a PostgreSQL server of its own (`<SERVICE>_DATABASE_URL`): nothing needs two of them at once."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from sqlalchemy import NullPool, create_engine, text

from shared.database.migrations import upgrade
from shared.testing import wait_until
from stack import servers
from stack.audit.run import RULES
from stack.processes import PROCESSES
from tests.e2e.shop import CHOREOGRAPHED, COMPLETED, DECLINED, HANG_SECONDS, ORCHESTRATED, QUICK, UNDONE, Shop
from tests.system.own_postgres import OwnPostgres
from tests.system.running import DASHBOARD
from tests.system.servers import SERVICES
from tests.unit.dashboard.text import Text

STYLES = (ORCHESTRATED, CHOREOGRAPHED)
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')"
IDENTIFIER = "SELECT system_identifier FROM pg_control_system()"


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, OwnPostgres]]:
    """A server for each service, with that service's tables only."""
    with ExitStack() as stack:
        started = {}
        for service in SERVICES:
            home = tmp_path_factory.mktemp(service)
            stack.callback(servers.stop, home)
            started[service] = OwnPostgres(home)
            upgrade(service, started[service].url)
        yield started


@pytest.fixture(scope="module")
def shop_settings(own_servers: Mapping[str, OwnPostgres], broker_url: str) -> dict[str, Any]:
    """All processes; `DATABASE_URL` leads nowhere."""
    own = {f"{service.upper()}_DATABASE_URL": server.url for service, server in own_servers.items()}
    everything = [process.name for process in PROCESSES.values() if not process.server]
    return {
        "rabbitmq_url": broker_url,
        "processes": everything,
        "copies": {"saga_orchestrator-worker": 1},
        "env": {**QUICK, "DATABASE_URL": NOWHERE, **own},
    }


def values(server: OwnPostgres, query: str) -> set[str]:
    """What a server answers."""
    engine = create_engine(server.url, poolclass=NullPool)
    with engine.connect() as connection:
        return set(map(str, connection.scalars(text(query))))


def test_five_servers_have_the_tables_of_one_service_each(shop: Shop, own_servers: Mapping[str, OwnPostgres]) -> None:
    assert {service: values(server, SCHEMAS) for service, server in own_servers.items()} == {
        service: {service} for service in SERVICES
    }
    assert len(set().union(*(values(server, IDENTIFIER) for server in own_servers.values()))) == len(SERVICES) == 5


@pytest.mark.parametrize("style", STYLES)
def test_a_checkout_is_completed_and_undone(shop: Shop, style: str) -> None:
    product = shop.product(quantity=10)
    saga_id = shop.buy(product, 2, style=style)
    assert (shop.became(saga_id), shop.stock(product)) == (COMPLETED, (8, 0, 2))
    assert shop.compensate(saga_id).status == 202
    shop.until_status(saga_id, "compensated")
    assert (shop.became(saga_id), shop.stock(product)) == (UNDONE, (10, 0, 0))


@pytest.mark.parametrize("style", STYLES)
def test_a_declined_checkout_is_compensated(shop: Shop, style: str) -> None:
    product = shop.product(quantity=10)
    saga_id = shop.buy(product, method="declined_card", style=style)
    assert (shop.became(saga_id), shop.stock(product)) == (DECLINED, (10, 0, 0))


def test_the_audit_and_the_dashboard_read_all_of_them(shop: Shop) -> None:
    sagas = {style: shop.buy(shop.product(), style=style) for style in STYLES}
    for saga_id in sagas.values():
        assert shop.became(saga_id) == COMPLETED
    shop.check_books()
    dashboard = shop.system.url(DASHBOARD)
    for style, saga_id in sagas.items():
        said = Text(requests.get(f"{dashboard}/sagas/{style}/{saga_id}", timeout=HANG_SECONDS).text).text
        assert "Order confirmed" in said

    def balanced() -> bool:
        return (
            f"All {len(RULES)} rules hold" in Text(requests.get(f"{dashboard}/books", timeout=HANG_SECONDS).text).text
        )

    wait_until(balanced, "the books are seen to balance", HANG_SECONDS)
