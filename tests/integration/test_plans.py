"""The queries of pages, probes, scrapes and audits cost the same however many sagas are stored.

The tests store few sagas, and PostgreSQL plans as for many, since services may not read whole tables
(`shared/database/connections.py`). With `PLANS_SAGAS=1000000` in the environment they store so many; with `PLANS_FILE`
they also write the plans there.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, create_engine, event, text

from shared.auditing.log import PLACE
from shared.saga import changes, listing, stats
from shared.saga.changes import LOWEST
from shared.testing import wait_until
from tests.contract.documents import document_of
from tests.integration.api_client import ApiClient
from tests.system import many_sagas

SAGAS = int(os.environ.get("PLANS_SAGAS", "2000"))
HANG_SECONDS = 300  # transactions of other tests on the same server may be open for so long, and hold the feed back
MOST_ROWS = 300  # of a growing table, in one request; a page has at most 200
QUERIES = (
    "",
    "?cursor={saga}",
    "?cart_id={cart}",
    *(f"?status={status}" for status in ("running", "completed", "compensated")),
    "?status=completed&cursor={saga}",
    "?user_id=ana",
    "?order_id={order}",
    "?payment_method=paypal",
    "?payment_method=declined_card",
    "?retrying=true",
    "?failed_step=process_payment",
)
COMBINED = (  # one of them is read by its index, and the others are checked on its rows
    "?payment_method=paypal&status=compensated",
    "?retrying=false&payment_method=paypal&cursor={saga}",
    "?status=completed&payment_method=declined_card",
    "?user_id=ana&status=completed&payment_method=paypal&retrying=false",
)
READS = {
    "carrito": [
        "/carts/{cart}",
        "/checkouts/{saga}",
        "/checkouts/{saga}/standing",
        "/orders/{order}",
        "/orders/saga/{cart}",
    ],
    "inventario": [
        "/api/products?limit=5",
        "/api/products/{product}",
        "/api/products/reservations/{cart}",
        "/api/products/movements/{saga}",
    ],
    "pagos": ["/api/v1/payments/saga/{cart}", "/api/v1/ledger/sagas/{saga}", "/api/v1/wallets/ana"],
    **{
        service: [
            *(f"{listed}{query}" for query in QUERIES),
            f"{one}/{{saga}}",
            f"{one}/{{saga}}/timeline",
            f"{one}/changes",
            f"{one}/changes?after={{now}}",
            f"{one}/operations",
            f"{one}/operations?cursor={{saga}}",
        ]
        for service, listed, one in (
            ("saga_orchestrator", "/saga", "/saga"),
            ("saga_choreography", "/saga/choreography/status", "/saga/choreography"),
        )
    },
}
EVERYWHERE = ["/health", "/metrics", "/audit", "/audit/changes", "/audit/changes?xid={xid}", "/audit/sagas?limit=100"]


@pytest.fixture(scope="module")
def stored(databases: Any) -> Iterator[str]:
    """The URL of a database with many sagas."""
    url: str = databases.create()
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        many_sagas.store(connection, SAGAS)
        for service in READS:  # as their workers do
            while import_module(f"{service}.models").audit_log.fold(connection):
                pass
        connection.execute(text("VACUUM"))
    engine.dispose()
    yield url
    databases.drop(url)


@pytest.fixture
def ids(stored: str, service: str) -> Iterator[dict[str, object]]:
    """Yield the ids of a checkout that the service knows, and a transaction after all that was stored."""
    engine = create_engine(stored)
    with engine.connect() as connection:
        yield _ids(connection, "choreographed" if service == "saga_choreography" else "orchestrated")
    engine.dispose()


def _ids(connection: Connection, style: str) -> dict[str, object]:
    amid = text(f"""SELECT saga_id AS saga, cart_id AS cart, order_id AS order FROM carrito.checkouts
        WHERE saga_pattern = '{style}' ORDER BY saga_id OFFSET {SAGAS // 4} LIMIT 1""")
    product = connection.scalar(text("SELECT min(id) FROM inventario.products"))
    after = connection.scalar(text("SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"))
    place = connection.scalar(text(PLACE))
    begins = [
        connection.scalar(text(f"SELECT amount FROM {schema}.audit_totals WHERE key = 'begins'"))
        for schema in ("saga_orchestrator", "saga_choreography")
    ]
    positions = {"start": f"{place}.{max(begins)}.{LOWEST}", "now": f"{place}.{after}.{LOWEST}"}
    return {**connection.execute(amid).mappings().one(), **positions, "product": product, "xid": after}


@contextmanager
def plans(client: ApiClient) -> Iterator[list[dict[str, Any]]]:
    """Record the plans of the queries sent during the block, with the rows that they read."""
    found: list[dict[str, Any]] = []

    def explain(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH", "EXECUTE")):
            with cursor.connection.cursor() as own:
                own.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + cursor.query)
                ((plan,),) = own.fetchall()
            found.append((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])

    with client.client.application.app_context():
        engine = client.client.application.extensions["sqlalchemy"].engine
    event.listen(engine, "after_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine, "after_cursor_execute", explain)


def shown(request: str, found: Sequence[dict[str, Any]]) -> None:
    """Write the plans to a file, if one is named: each index and the number of its rows."""
    if "PLANS_FILE" in os.environ:
        with Path(os.environ["PLANS_FILE"]).open("a") as file:
            for plan in found:
                file.write(
                    f"{request}: {'; '.join(scans_of(plan)) or 'no table'} ({plan['Actual Total Time']:.1f} ms)\n"
                )


def scans_of(plan: dict[str, Any]) -> Iterator[str]:
    """Yield each index and table that a plan reads, with the number of rows."""
    name = plan.get("Index Name", plan.get("Relation Name"))
    if name is not None:
        rows = dict(read_of({**plan, "Relation Name": name, "Plans": []}))
        yield f"{plan['Node Type']} {name}: {sum(rows.values())}"
    for below in plan.get("Plans", []):
        yield from scans_of(below)


def read_of(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield each table that a plan reads, with the number of its rows."""
    if "Relation Name" in plan:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        yield (
            f"{plan['Node Type']} {plan['Relation Name']}",
            int((plan["Actual Rows"] + removed) * plan["Actual Loops"]),
        )
    for below in plan.get("Plans", []):
        yield from read_of(below)


def costly(found: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(scan, rows) for plan in found for scan, rows in read_of(plan) if rows > MOST_ROWS]


@pytest.mark.parametrize(("service", "path"), [(name, path) for name in READS for path in (*EVERYWHERE, *READS[name])])
def test_a_read_takes_few_rows_of_many(
    service: str, path: str, stored: str, ids: dict[str, object], service_client: Callable[..., FlaskClient]
) -> None:
    client = ApiClient(service_client(service, database_url=stored))
    with plans(client) as found:
        client.get(path.format(**ids))
    shown(f"{service} {path}", found)
    assert found
    assert costly(found) == []


# Requests to RabbitMQ; in the database, they read the latest redrives by their key.
OF_THE_BROKER = {"/saga/choreography/dead-letters"}
# These read the latest of many; see below.
OF_THE_LATEST = {"saga_orchestrator": "/saga/stats", "saga_choreography": "/saga/choreography/stats"}
WITHOUT_DATABASE = {"/", "/saga/definition", "/saga/choreography/definition"}


@pytest.mark.parametrize("query", COMBINED)
@pytest.mark.parametrize(
    ("service", "path"), [("saga_orchestrator", "/saga"), ("saga_choreography", "/saga/choreography/status")]
)
def test_filters_together_try_a_bounded_number_of_sagas(
    *,
    service: str,
    path: str,
    query: str,
    stored: str,
    ids: dict[str, object],
    service_client: Callable[..., FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "MOST_TRIED", min(listing.MOST_TRIED, SAGAS // 10))
    client = ApiClient(service_client(service, database_url=stored))
    with plans(client) as found:
        client.get((path + query).format(**ids))
    shown(f"{service} {path}{query}", found)
    assert found
    most = listing.MOST_TRIED + many_sagas.LIVE  # by their ids, it may be, past those that have not ended
    assert all(rows <= most for plan in found for _, rows in read_of(plan)), found


@pytest.mark.parametrize(("service", "path"), OF_THE_LATEST.items())
def test_statistics_read_those_that_are_live_and_a_bounded_number_of_the_latest(
    service: str, path: str, stored: str, service_client: Callable[..., FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "MOST_ENDED", min(stats.MOST_ENDED, SAGAS // 10))
    client = ApiClient(service_client(service, database_url=stored))
    with plans(client) as found:
        client.get(f"{path}?seconds=3600")
    shown(f"{service} {path}", found)
    assert found
    assert all(rows <= max(stats.MOST_ENDED, many_sagas.LIVE) for plan in found for _, rows in read_of(plan)), found


@pytest.mark.parametrize("path", ["/saga/changes", "/saga/choreography/changes"])
def test_a_reader_of_the_feed_who_is_far_behind_reads_a_bounded_part_of_it(
    path: str, stored: str, service_client: Callable[..., FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = "saga_orchestrator" if path == "/saga/changes" else "saga_choreography"
    monkeypatch.setattr(changes, "MOST_READ", min(changes.MOST_READ, SAGAS // 5))
    engine = create_engine(stored)
    with engine.connect() as connection:
        start = _ids(connection, "orchestrated")["start"]
    engine.dispose()
    client = ApiClient(service_client(service, database_url=stored))

    def items() -> int:
        return len(client.get(f"{path}?after={start}").get_json()["items"])

    wait_until(lambda: items() > 0, "no older transaction of another test is open", HANG_SECONDS)
    with plans(client) as found:
        count = items()
    shown(f"{service} {path}?after={{start}}", found)
    assert count == 200
    assert all(rows <= changes.MOST_READ for plan in found for _, rows in read_of(plan)), found


@pytest.mark.parametrize("service", READS)
def test_all_that_can_be_read_is_tried(service: str) -> None:
    paths = {path for path, operations in document_of(service)["paths"].items() if "get" in operations}
    tried = {re.sub(r"{\w+}", "{}", path.partition("?")[0]) for path in (*EVERYWHERE, *READS[service])}
    tried |= {path.replace("ana", "{}") for path in tried}
    untried = paths - OF_THE_BROKER - WITHOUT_DATABASE - {*OF_THE_LATEST.values()}
    assert {path for path in untried if re.sub(r"{\w+}", "{}", path) not in tried} == set()


@pytest.mark.parametrize("service", READS)
def test_facts_are_looked_up_saga_by_saga(
    service: str, stored: str, ids: dict[str, object], service_client: Callable[..., FlaskClient]
) -> None:
    client = ApiClient(service_client(service, database_url=stored))
    with plans(client) as found:
        client.facts(ids["saga"])
    shown(f"{service} /audit/facts", found)
    assert found
    assert all(rows <= 1 for plan in found for scan, rows in read_of(plan)), found


def test_a_metric_of_live_sagas_reads_those_alone(stored: str, service_client: Callable[..., FlaskClient]) -> None:
    for service in ("saga_orchestrator", "saga_choreography"):
        client = ApiClient(service_client(service, database_url=stored))
        with plans(client) as found:
            client.get("/metrics")
        of_sagas = [(scan, rows) for plan in found for scan, rows in read_of(plan) if scan.endswith(" sagas")]
        assert of_sagas
        assert all(rows <= many_sagas.LIVE for _, rows in of_sagas), of_sagas
