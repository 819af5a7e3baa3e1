"""Purging on a real PostgreSQL: rows past their retention are deleted, and no others."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import MetaData, Uuid, func, insert, select, text

from carrito import service as carts
from carrito.domain import Product, Release
from shared.config import ServiceSettings
from shared.http.answers import value_or_raise
from shared.ids import made_at, new_id
from shared.purging import purge as purging
from shared.purging.purge import Purge, Purger
from shared.testing import concurrently
from tests.integration.aging import DAY, SAGA_DAYS, add_row, ages, count, id_made, purges, row_of_age, time_of
from tests.integration.api_client import ApiClient
from tests.integration.reacting import Carts
from tests.system.servers import SERVICES

DECLARED = [(service, each) for service in SERVICES for each in purges(service)]
PURGES = [pytest.param(*each, id=each[1].table.fullname) for each in DECLARED]
BY_ID = [each for each in DECLARED if isinstance(each[1].age.type, Uuid)]
# Tables that a shop must keep: stock, customers, payments and goods.
BUSINESS = {
    "carrito.orders",
    "inventario.products",
    "inventario.reservations",
    "inventario.reservation_lines",
    "pagos.payments",
    "pagos.wallets",
    "pagos.ledger_transfers",
}
LONGEST_TRANSACTION = 1800.0  # seconds; far longer than any transaction
ServiceClient = Callable[..., FlaskClient]
Service = Callable[[str], ApiClient]


@pytest.fixture
def service(service_client: ServiceClient, fresh_database_url: str) -> Service:
    """A service with empty tables."""
    return lambda name: ApiClient(service_client(name, database_url=fresh_database_url))


def settings_of(name: str, **settings: Any) -> ServiceSettings:
    """Return a service's settings: the defaults, and these."""
    url = {f"{name}_database_url".upper(): "postgresql://x"}
    of_service: ServiceSettings = import_module(f"{name}.config").Settings(_env_file=None, **url, **settings)
    return of_service


def purger(client: ApiClient, name: str, **settings: Any) -> Purger:
    return Purger(client.client.application.extensions["sqlalchemy"], purges(name), settings_of(name, **settings))


def run_once(client: ApiClient, job: Purger) -> int:
    with client.client.application.app_context():
        return job.run_once()


# What is purged, and what is kept.


@pytest.mark.parametrize(("name", "purge"), PURGES)
def test_a_row_goes_a_millisecond_after_its_retention_and_not_before(service: Service, name: str, purge: Purge) -> None:
    """By one clock, which does not advance within a transaction."""
    client = service(name)
    seconds = purge.seconds(settings_of(name))
    with client.transaction() as connection:
        young = [add_row(connection, purge, age) for age in (0, seconds - 1, seconds)]
        for age in (seconds + 0.001, seconds + 1, 10 * seconds):
            add_row(connection, purge, age)
        assert purge.delete(connection, seconds, 10) == 3
        assert ages(connection, purge) == sorted(young)
        for column in purge.parts:
            keys = select(purge.key).order_by(purge.key)
            assert connection.scalars(select(column).order_by(column)).all() == connection.scalars(keys).all()


@pytest.mark.parametrize(("name", "purge"), PURGES)
def test_a_row_is_kept_for_longer_than_nothing_is_added_to_what_is_of_its_age(
    service: Service, name: str, purge: Purge
) -> None:
    client = service(name)
    retention = float(getattr(settings_of(name), purge.days)) * DAY
    with client.transaction() as connection:
        kept = add_row(connection, purge, retention + LONGEST_TRANSACTION)
        add_row(connection, purge, retention + 2 * DAY)
    run_once(client, purger(client, name))
    with client.transaction() as connection:
        assert ages(connection, purge) == [kept]


@pytest.mark.parametrize(("name", "purge"), BY_ID)
def test_ids_that_tell_no_time_are_kept(service: Service, name: str, purge: Purge) -> None:
    client = service(name)
    with client.transaction() as connection:
        for _ in range(20):
            row = row_of_age(time_of(connection), purge, 9999 * DAY)
            connection.execute(insert(purge.table).values({**row, purge.age.name: uuid4()}))
        connection.execute(insert(purge.table).values({**row, purge.age.name: UUID(int=4 << 76 | 2 << 62)}))
        assert purge.delete(connection, 1.0, 100) == 0


@pytest.mark.parametrize("name", SERVICES)
def test_every_table_is_purged_or_is_what_a_shop_must_know(name: str) -> None:
    metadata: MetaData = import_module(f"{name}.models").metadata
    declared = {each.table.fullname for each in purges(name)}
    declared |= {str(column.table) for each in purges(name) for column in each.parts}
    one_row_a_table = {f"{name}.purge_runs", f"{name}.fault_switches"}
    by_the_audit = {f"{name}.audit_{table}" for table in ("changes", "deltas", "totals")}  # the audit log purges these
    assert set(metadata.tables) - declared - BUSINESS - one_row_a_table - by_the_audit == set()


@pytest.mark.parametrize("name", ["saga_orchestrator", "saga_choreography"])
@pytest.mark.parametrize("status", ["pending", "running", "compensating", "stuck"])
def test_a_saga_that_has_not_ended_stays_however_old_it_is(service: Service, name: str, status: str) -> None:
    client, [purge] = service(name), [each for each in purges(name) if each.table.name == "sagas"]
    with client.transaction() as connection:
        add_row(connection, purge, 9999 * DAY, status=status, due_at=func.now(), ended_at=None)
        assert purge.delete(connection, 1.0, 10) == 0
        assert count(connection, purge.table) == 1


@pytest.mark.parametrize("name", ["carrito", "inventario", "pagos", "saga_choreography"])
def test_an_event_that_was_not_sent_stays_however_old_it_is(service: Service, name: str) -> None:
    client, [purge] = service(name), [each for each in purges(name) if each.table.name == "outbox"]
    with client.transaction() as connection:
        add_row(connection, purge, 9999 * DAY, sent_at=None)
        assert purge.delete(connection, 1.0, 10) == 0


@pytest.mark.parametrize("name", ["saga_orchestrator", "saga_choreography"])
def test_an_old_saga_that_ended_just_now_stays(service: Service, name: str) -> None:
    client, [purge] = service(name), [each for each in purges(name) if each.table.name == "sagas"]
    with client.transaction() as connection:
        add_row(connection, purge, 9999 * DAY, ended_at=func.now() - timedelta(days=SAGA_DAYS - 1))
        assert purge.delete(connection, SAGA_DAYS * DAY, 10) == 0


def test_a_cart_that_a_saga_ever_had_stays_and_one_that_is_touched_is_not_abandoned(
    service_client: ServiceClient, fresh_database_url: str
) -> None:
    """Also after its saga was compensated and it is open again."""
    shop = Carts(service_client("carrito", database_url=fresh_database_url))
    had, touched, abandoned = (shop.open(1, 1) for _ in range(3))
    saga_id = shop.begin(had).saga_id
    [purge] = [each for each in purges("carrito") if each.table.name == "carts"]
    with shop.transaction() as connection:
        value_or_raise(carts.release_cart(connection, [Release(had, saga_id)])[0])
    with shop.transaction() as connection:
        connection.execute(text("UPDATE carts SET idle_since = idle_since - interval '1000 days'"))
        carts.remove_item(connection, touched, 1)
        carts.add_item(connection, had, Product(2, "a thing", 1000, 1), 1)
        assert purge.delete(connection, 600.0, 10) == 1
        left = {row.id: row.status for row in connection.execute(text("SELECT id, status FROM carts"))}
        assert left == {had: "open", touched: "open"}
        assert abandoned not in connection.scalars(text("SELECT cart_id FROM cart_items")).all()


# How it purges.


@pytest.mark.parametrize(("name", "purge"), PURGES)
def test_what_is_locked_is_passed_over_without_waiting(service: Service, name: str, purge: Purge) -> None:
    client = service(name)
    with client.transaction() as connection:
        for _ in range(3):
            add_row(connection, purge, 9999 * DAY)
    with client.transaction() as holder:
        held = holder.execute(select(purge.age).order_by(purge.age).limit(1).with_for_update(read=True)).scalar()
        with client.transaction() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
            assert purge.delete(connection, 1.0, 10) == 2
            assert ages(connection, purge) == [held]


@pytest.mark.parametrize(("name", "purge"), PURGES)
def test_any_number_of_processes_share_the_work(service: Service, name: str, purge: Purge) -> None:
    client = service(name)
    with client.transaction() as connection:
        for _ in range(200):
            add_row(connection, purge, 9999 * DAY)

    def work() -> int:
        deleted = 0
        for _ in range(20):
            with client.transaction() as connection:
                deleted += purge.delete(connection, 1.0, limit=7)
        return deleted

    assert sum(concurrently(work, work, work)) == 200
    with client.transaction() as connection:
        assert count(connection, purge.table) == 0
        for column in purge.parts:
            assert connection.scalar(select(func.count()).select_from(column.table)) == 0


@pytest.mark.parametrize(("name", "purge"), PURGES)
def test_a_transaction_takes_a_bounded_number_of_rows_by_an_index_the_oldest_first(
    service: Service, name: str, purge: Purge
) -> None:
    client = service(name)
    with client.transaction() as connection:
        now = time_of(connection)
        rows = [row_of_age(now, purge, (9999 - number) * 600) for number in range(2000)]
        connection.execute(insert(purge.table), rows)
        assert purge.delete(connection, 1.0, 4) == 4
        assert ages(connection, purge) == [row[purge.age.name] for row in rows[4:]]
        connection.execute(text(f"ANALYZE {purge.table}"))
        values = {"seconds": 8000 * 600.0, "limit": 100}
        for statement in (purge.due_sql(), purge.oldest_sql()):
            plan = "\n".join(connection.scalars(text(f"EXPLAIN {statement}"), values))
            assert "Index" in plan, plan
            assert "Seq Scan" not in plan, plan
            assert "Sort" not in plan, plan  # this would read all of them to find the first
        assert "Index Cond" in "\n".join(connection.scalars(text(f"EXPLAIN {purge.due_sql()}"), values))


@pytest.mark.parametrize("name", SERVICES)
def test_the_job_purges_every_table_of_the_service_in_batches_and_pauses_between_them(
    service: Service, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "BATCH", 5)
    client = service(name)
    job = purger(client, name)
    with client.transaction() as connection:
        for each in purges(name):
            for _ in range(7):
                add_row(connection, each, 9999 * DAY)
            add_row(connection, each, 0)
    assert run_once(client, job) == 5 * len(purges(name))
    assert job.idle_seconds() == purging.PAUSE_SECONDS
    assert run_once(client, job) == 2 * len(purges(name))
    assert job.idle_seconds() == 60
    assert run_once(client, job) == 0
    with client.transaction() as connection:
        assert [count(connection, each.table) for each in purges(name)] == [1] * len(purges(name))


def test_a_table_that_cannot_be_purged_keeps_no_other_from_it(service: Service) -> None:
    client = service("inventario")
    job = purger(client, "inventario")
    with client.transaction() as connection:
        for each in purges("inventario"):
            add_row(connection, each, 9999 * DAY)
        connection.execute(text("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'"))
        connection.execute(text("CREATE TRIGGER no BEFORE DELETE ON barrier FOR EACH ROW EXECUTE FUNCTION no()"))
    assert run_once(client, job) == len(purges("inventario")) - 1


# What is reported.


@pytest.mark.parametrize("name", SERVICES)
def test_metrics_tell_what_was_purged_and_how_old_what_is_left_is(service: Service, name: str) -> None:
    client = service(name)
    with client.transaction() as connection:
        for each in purges(name):
            add_row(connection, each, 9999 * DAY)
            add_row(connection, each, 50.0 * 1000)
    assert f'purge_oldest_row_seconds{{service="{name}",table="' in client.get("/metrics").text
    run_once(client, purger(client, name, key_retention_days=1))
    metrics = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line.startswith("purge"))
    with client.transaction() as connection:
        now = float(connection.scalar(text("SELECT extract(epoch FROM now())")) or 0)
    for each in purges(name):
        table = f'{{service="{name}",table="{each.table.name}"}}'
        assert float(metrics[f"purged_rows_total{table}"]) == 1
        assert now - 600 < float(metrics[f"purge_last_run_seconds{table}"]) <= now
        assert 50_000 <= float(metrics[f"purge_oldest_row_seconds{table}"]) < 50_600
        assert float(metrics[f"purge_retention_seconds{table}"]) == each.seconds(settings_of(name))


def test_an_id_tells_when_it_was_made() -> None:
    before = made_at(new_id())
    assert before is not None
    assert before <= made_at(new_id())  # type: ignore[operator]
    assert made_at(id_made(before)) == before
    assert made_at(uuid4()) is None
