"""When somebody changes a row by hand so that an auditor sees other facts about a saga, the log names the saga."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, create_engine, text

from shared.auditing.endpoint import Audit, facts_of
from shared.auditing.log import NIL
from stack.audit.run import AUDITED
from tests.system import many_sagas

SAGAS = 3 * many_sagas.LIVE
COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
 WHERE table_schema = :service AND table_name !~ '^(audit_|alembic_)' AND is_generated = 'NEVER'
 ORDER BY table_name, ordinal_position
"""
CONSTRAINTS = """
SELECT CAST(conrelid AS regclass), conname FROM pg_constraint
 WHERE contype IN ('c', 'f', 'u') AND connamespace = CAST(:service AS regnamespace) AND conrelid <> 0
"""
# Another value for a column of each type.
OTHERWISE = {
    "boolean": "NOT {column}",
    "uuid": "gen_random_uuid()",
    "character": "'xyz'",  # as long as a currency
    "character varying": "'xyz'",
    "text": "'[]'",
    "json": """CAST(CAST({column} AS jsonb) || '{{"other": 1}}' AS json)""",  # members for generated columns stay
    "integer": "1000000 + {column}",
    "bigint": "1000000 + {column}",
    "timestamp with time zone": "now()",
}
UNDONE = """
INSERT INTO pagos.barrier (saga_id, step, direction)
SELECT saga_id, 'process_payment', 'compensation' FROM pagos.payments
"""
FREEZE = """
INSERT INTO carrito.checkouts
SELECT gen_random_uuid(), cart_id, user_id, saga_pattern, payment_method, billing_address, payment_id, order_id, items,
    total_minor, currency FROM carrito.checkouts
"""
Facts = Mapping[UUID, dict[str, Any]]


class Records:
    """One service's rows, and its facts about their sagas."""

    def __init__(self, connection: Connection, service: str) -> None:
        self.connection, self.service = connection, service
        self._audit: Audit = import_module(f"{service}.audit").audit

    def facts(self) -> Facts:
        known = {"after": NIL, "limit": 1000}
        ids = self.connection.scalars(text(self._audit.saga_ids), known).all()
        return {each["saga_id"]: each for each in facts_of(self.connection, self._audit, ids)}

    @contextmanager
    def changed(self, statement: str) -> Iterator[tuple[set[UUID], set[UUID]]]:
        """Run a statement; yield the sagas whose facts changed, and the sagas that the log names."""
        with self.connection.begin_nested() as savepoint:
            self.connection.execute(text(f"DELETE FROM {self.service}.audit_changes"))
            before = self.facts()
            self.connection.execute(text(statement))
            after = self.facts()
            log = self.connection.scalars(text(f"SELECT saga_id FROM {self.service}.audit_changes"))
            yield {each for each in {*before, *after} if before.get(each) != after.get(each)}, set(log)
            savepoint.rollback()

    def columns(self) -> list[tuple[str, str, str]]:
        rows = self.connection.execute(text(COLUMNS), {"service": self.service})
        return [(table, column, kind) for table, column, kind in rows]


@pytest.fixture
def connection(fresh_database_url: str) -> Iterator[Connection]:
    """The rows of some checkouts, without the constraints that would refuse most changes; all is rolled back."""
    engine = create_engine(fresh_database_url)
    with engine.connect() as connection:
        many_sagas.store(connection, SAGAS)
        connection.execute(text("DELETE FROM pagos.barrier"))
        connection.execute(text(UNDONE))
        for service in AUDITED:
            for table, name in connection.execute(text(CONSTRAINTS), {"service": service}).all():
                connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"))
        yield connection
    engine.dispose()


@pytest.fixture(params=AUDITED)
def records(connection: Connection, request: pytest.FixtureRequest) -> Records:
    connection.execute(text(f"SET LOCAL search_path = {request.param}"))
    return Records(connection, request.param)


def test_a_change_of_any_column_that_is_told_of_is_in_the_log(records: Records) -> None:
    told = set()
    for table, column, kind in records.columns():
        change = f"UPDATE {records.service}.{table} SET {column} = {OTHERWISE[kind].format(column=column)}"
        with records.changed(change) as (differ, logged):
            assert differ <= logged, change
            told |= {f"{table}.{column}"} if differ else set()
    assert any(each.endswith(".saga_id") for each in told)
    assert any(each.endswith(".status") for each in told)


def of(service: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("records", [service], indirect=True)


@of("carrito")
def test_an_order_that_is_frozen_otherwise_by_hand_is_in_the_log(records: Records) -> None:
    with records.changed("UPDATE carrito.checkouts SET total_minor = 1") as (differ, logged):
        assert len(differ) == SAGAS
        assert logged == differ


@of("carrito")
def test_handing_a_checkout_over_runs_no_trigger(records: Records) -> None:
    """Every checkout is handed over; the trigger of its cart logged the saga when the cart was frozen."""
    for change in ("UPDATE carrito.checkouts SET handover_due_at = now()", FREEZE):
        [plan] = records.connection.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {change}"))
        assert plan["Plan"]["Plans"][0]["Actual Rows"] == SAGAS
        assert plan["Triggers"] == []


@of("pagos")
def test_a_payment_that_is_said_to_be_undone_by_hand_is_in_the_log(records: Records) -> None:
    records.connection.execute(text("DELETE FROM pagos.barrier"))
    with records.changed(UNDONE) as (differ, logged):
        assert len(differ) == SAGAS
        assert logged == differ


@of("pagos")
def test_a_charge_runs_no_trigger_of_the_barrier(records: Records) -> None:
    records.connection.execute(text("DELETE FROM pagos.barrier"))
    charged = UNDONE.replace("'compensation'", "'action'")
    [plan] = records.connection.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {charged}"))
    assert plan["Plan"]["Plans"][0]["Actual Rows"] == SAGAS
    assert plan["Triggers"] == []
