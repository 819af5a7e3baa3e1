"""The log of changes and the running totals of an audit: nothing is missed, and nothing is counted twice."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, create_engine, text

from pagos.models import audit_log
from shared.auditing.log import NIL, PURGE_ROWS
from shared.ids import new_id
from shared.testing import concurrently
from tests.integration.api_client import body_of
from tests.integration.inventario_client import Inventario
from tests.integration.inventario_client import Saga as Sale
from tests.integration.pagos_client import Pagos, Saga, new_user

CHARGE = """
INSERT INTO pagos.payments (id, saga_id, cart_id, user_id, amount_minor, currency, payment_method, status, reason)
VALUES ('{id}', '{id}', '{id}', 'ana', 100, 'EUR', 'paypal', 'declined', 'no')
"""


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Pagos:
    return Pagos(service_client("pagos", database_url=fresh_database_url))


@pytest.fixture
def engine(fresh_database_url: str) -> Iterator[Engine]:
    engine = create_engine(fresh_database_url)
    yield engine
    engine.dispose()


def changes(pagos: Pagos, xid: int | None = None, **query: Any) -> dict[str, Any]:
    known = {name: value for name, value in {"xid": xid, **query}.items() if value is not None}
    return body_of(pagos.get("/audit/changes?" + "&".join(f"{name}={value}" for name, value in known.items())))


def all_changes(pagos: Pagos, xid: int) -> set[str]:
    return set(changes(pagos, xid)["saga_ids"])


def test_what_commits_late_is_not_missed(pagos: Pagos, engine: Engine) -> None:
    """Transactions commit in another order than they began; a time alone would miss the slow one."""
    began = changes(pagos)["next_xid"]
    slow, quick = new_id(), new_id()
    with engine.connect() as late:
        late.execute(text(CHARGE.format(id=slow)))
        with engine.begin() as early:
            early.execute(text(CHARGE.format(id=quick)))
        read = changes(pagos, began)
        assert read["saga_ids"] == [str(quick)]
        late.commit()
    assert str(slow) in all_changes(pagos, read["next_xid"])


def test_what_is_rolled_back_is_no_change(pagos: Pagos, engine: Engine) -> None:
    began = changes(pagos)["next_xid"]
    with engine.connect() as connection:
        connection.execute(text(CHARGE.format(id=new_id())))
    assert all_changes(pagos, began) == set()
    assert pagos.audit()["payments"] == {}


def test_each_change_is_told_whoever_makes_it(pagos: Pagos, engine: Engine) -> None:
    saga = Saga()
    payment = f"pagos.payments WHERE id = '{saga.payment_id}'"
    for change in (
        lambda: pagos.charge(saga),
        lambda: pagos.refund(saga),
        lambda: _by_hand(engine, "UPDATE pagos.payments SET amount_minor = 1, refunded_minor = 1"),
        lambda: _by_hand(engine, f"DELETE FROM pagos.ledger_transfers; DELETE FROM {payment}"),
    ):
        began = changes(pagos)["next_xid"]
        change()
        assert all_changes(pagos, began) == {str(saga.saga_id)}


def test_an_audit_changes_nothing(pagos: Pagos, engine: Engine) -> None:
    pagos.charge(Saga())
    with engine.connect() as connection:
        before = [*_rows(connection), connection.scalar(text("SELECT count(*) FROM pagos.audit_changes"))]
        connection.rollback()
        pagos.audit()
        pagos.facts(new_id())
        changes(pagos, 0)
        assert [*_rows(connection), connection.scalar(text("SELECT count(*) FROM pagos.audit_changes"))] == before


def test_one_great_transaction_is_read_page_by_page(pagos: Pagos, engine: Engine) -> None:
    began = changes(pagos)["next_xid"]
    sagas = [new_id() for _ in range(7)]
    with engine.begin() as connection:
        for saga in sagas:
            connection.execute(text(CHARGE.format(id=saga)))
    found: list[str] = []
    page = changes(pagos, began, limit=3)
    while page["more"]:
        found += page["saga_ids"]
        page = changes(pagos, page["more"]["xid"], saga_id=page["more"]["saga_id"], limit=3)
    assert found + page["saga_ids"] == sorted(map(str, sagas))


def test_all_ids_are_read_page_by_page(pagos: Pagos) -> None:
    sagas = [Saga() for _ in range(5)]
    for saga in sagas:
        pagos.charge(saga)
    pagos.pay()
    found: list[str] = []
    while page := body_of(pagos.get(f"/audit/sagas?limit=2&after={found[-1] if found else NIL}"))["saga_ids"]:
        found += page
    assert found == sorted(str(saga.saga_id) for saga in sagas)


# Totals.


def _by_hand(engine: Engine, statements: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statements))


def _rows(connection: Connection) -> tuple[int, ...]:
    tables = ("audit_deltas", "audit_totals")
    return tuple(connection.scalar(text(f"SELECT count(*) FROM pagos.{table}")) or 0 for table in tables)


def test_totals_are_the_same_however_they_are_added_up(pagos: Pagos, engine: Engine) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    sagas = [Saga(1, "wallet", user) for _ in range(4)]
    for saga in sagas:
        pagos.charge(saga)
    pagos.refund(sagas[0])
    before = pagos.audit()
    for limit in (1, 2, 5, 1000):
        with engine.begin() as connection:
            assert audit_log.fold(connection, limit) > 0
        assert pagos.audit() == before
    with engine.begin() as connection:
        assert audit_log.fold(connection) == 0
        deltas, totals = _rows(connection)
        zero = connection.scalar(text("SELECT count(*) FROM pagos.audit_totals WHERE amount = 0"))
    assert (deltas, zero) == (0, 0)
    assert totals < 15  # payments and wallets that agree with the ledger have no totals of their own


def test_any_number_of_processes_may_add_up_at_once(pagos: Pagos, engine: Engine) -> None:
    for _ in range(5):
        pagos.charge(Saga())
    before = pagos.audit()

    def fold() -> None:
        for _ in range(5):
            with engine.begin() as connection:
                audit_log.fold(connection, 3)
            assert pagos.audit() == before

    concurrently(*[fold] * 4)
    assert pagos.audit() == before


# The queries over each table, from which its migration makes the triggers.
COUNTED = {
    "inventario": {"reservations": "RESERVATIONS", "reservation_lines": "LINES"},
    "pagos": {"payments": "PAYMENTS", "wallets": "WALLETS", "ledger_transfers": "TRANSFERS"},
}
COUNT = """
SELECT topic, key, sum(amount) FROM ({}) AS amounts (topic, key, amount) GROUP BY topic, key HAVING sum(amount) <> 0
"""
EVERYTHING = """
SELECT topic, key, sum(amount)
  FROM (SELECT * FROM {0}.audit_totals UNION ALL SELECT * FROM {0}.audit_deltas) AS amounts WHERE topic <> 'log'
 GROUP BY topic, key HAVING sum(amount) <> 0
"""


def kept_and_counted(engine: Engine, service: str) -> list[dict[tuple[str, str], int]]:
    """Return the stored totals, and those computed from the tables."""
    revision = importlib.import_module(f"{service}.migrations.versions.0001_initial")
    queries = [
        query.format(rows=f"{service}.{table}")
        for table, name in COUNTED[service].items()
        for query in getattr(revision, name)
    ]
    with engine.connect() as connection:
        return [
            {(topic, key): int(amount) for topic, key, amount in connection.execute(text(statement))}
            for statement in (EVERYTHING.format(service), COUNT.format(" UNION ALL ".join(queries)))
        ]


def test_what_is_kept_is_what_a_count_finds(pagos: Pagos, engine: Engine) -> None:
    user = new_user()
    pagos.deposit(user, 5)
    sagas = [Saga(amount, "wallet", user) for amount in (1, 2, 3)]
    concurrently(*[lambda saga=saga: pagos.charge(saga) for saga in sagas])
    concurrently(*[lambda saga=saga: pagos.refund(saga) for saga in sagas[:2]])
    pagos.pay(2, "invalid_card")
    pagos.pay(2)
    kept, counted = kept_and_counted(engine, "pagos")
    assert kept == counted
    assert kept


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM inventario.reservation_lines; DELETE FROM inventario.reservations",
        "UPDATE inventario.reservation_lines SET quantity = quantity + 1",
        "UPDATE inventario.reservations SET status = 'committed'",
        "UPDATE inventario.reservations SET status = 'released'",
        "UPDATE inventario.reservations SET expires_at = now()",
    ],
)
def test_so_it_is_of_stock_whatever_is_done(
    service_client: Callable[..., FlaskClient], fresh_database_url: str, engine: Engine, change: str
) -> None:
    inventario = Inventario(service_client("inventario", fresh_database_url))
    product, other = inventario.add(10), inventario.add(10)
    held, sold, back = Sale(), Sale(), Sale()
    for saga in (held, sold, back):
        inventario.reserve(saga, {product: 2, other: 1})
    inventario.commit(sold)
    inventario.unreserve(back)
    for statement in ("SELECT 1", change):
        _by_hand(engine, statement)
        kept, counted = kept_and_counted(engine, "inventario")
        assert kept == counted


# -- forgetting


def test_old_changes_are_forgotten_and_it_is_said_from_where_on_there_are_some(pagos: Pagos, engine: Engine) -> None:
    began = changes(pagos)["next_xid"]
    old, young = Saga(), Saga()
    pagos.charge(old)
    pagos.charge(young)
    age = "UPDATE pagos.audit_changes SET changed_at = now() - interval '{}' WHERE saga_id = '{}'"
    _by_hand(engine, age.format("35 days 1 minute", old.saga_id))
    _by_hand(engine, age.format("34 days 23 hours", young.saga_id))
    with engine.begin() as connection:
        assert audit_log.purge(connection) == 1
        first = connection.scalar(text("SELECT min(xid) FROM pagos.audit_changes"))
    read = changes(pagos, began)
    assert read["saga_ids"] == [str(young.saga_id)]
    assert began < read["begins"] <= first


def test_what_is_forgotten_is_the_oldest_and_bounded(pagos: Pagos, engine: Engine) -> None:
    _by_hand(
        engine,
        f"""INSERT INTO pagos.audit_changes SELECT number, gen_random_uuid(), now() - interval '40 days'
        FROM generate_series(1, {PURGE_ROWS + 5}) AS numbers (number)""",
    )
    with engine.begin() as connection:
        assert audit_log.purge(connection) == PURGE_ROWS
        assert connection.scalar(text("SELECT min(xid) FROM pagos.audit_changes")) == PURGE_ROWS + 1
        assert audit_log.purge(connection) == 5
        assert audit_log.purge(connection) == 0


def test_a_log_is_told_from_that_of_another_database(
    pagos: Pagos, service_client: Callable[..., FlaskClient], database_url: str
) -> None:
    assert changes(pagos)["place"] != changes(Pagos(service_client("pagos", database_url=database_url)))["place"]


@pytest.mark.parametrize("query", ["xid=-1", "xid=x", "limit=0", "limit=1000000", "saga_id=7", f"xid={2**63}"])
def test_positions_that_make_no_sense_are_refused(pagos: Pagos, query: str) -> None:
    assert pagos.get(f"/audit/changes?{query}").status_code == 422


def test_facts_of_nothing_are_refused_and_of_the_unknown_are_none(pagos: Pagos) -> None:
    assert pagos.post("/audit/facts", {"saga_ids": []}).status_code == 422
    assert pagos.facts(UUID(int=7)) == []
