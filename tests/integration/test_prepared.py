"""Statements that connections prepare, on a real PostgreSQL."""

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from saga_orchestrator import saga_store
from saga_orchestrator.models import db
from shared.database.connections import is_unavailable
from shared.database.prepared import prepare_on, prepared
from shared.ids import new_id

PREPARED = text("SELECT generic_plans + custom_plans FROM pg_prepared_statements")
ADD = prepared("INSERT INTO tin (name, size) VALUES (:name, :size) RETURNING id, name")
GROW = prepared("UPDATE tin SET size = size + :by WHERE size < :by OR name = :name")
LIKE = prepared("SELECT name, size % 10 AS rest FROM tin WHERE name LIKE 'a%' ORDER BY id")
ALL = prepared("SELECT * FROM tin")


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """An engine with one connection, and a table."""
    engine = create_engine(empty_database_url, pool_size=1, max_overflow=0)
    prepare_on(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE tin (id serial PRIMARY KEY, name text, size integer)"))
    yield engine
    engine.dispose()


def test_a_statement_is_prepared_once_and_executed_every_time(engine: Engine) -> None:
    for size in range(3):
        with engine.begin() as connection:
            assert connection.execute(ADD, {"name": "ab", "size": size}).mappings().one() == {
                "id": size + 1,
                "name": "ab",
            }
    with engine.begin() as connection:
        assert connection.scalars(PREPARED).all() == [3]


def test_it_answers_and_counts_as_the_plain_statement_does(engine: Engine) -> None:
    with engine.begin() as connection:
        for name, size in (("ab", 17), ("b", 4), ("it's %s :x", None)):
            connection.execute(ADD, {"name": name, "size": size})
        assert connection.execute(GROW, {"by": 5, "name": "ab"}).rowcount == 2
        assert connection.execute(LIKE).all() == [("ab", 2)]
        assert connection.execute(text("SELECT name FROM tin WHERE size IS NULL")).scalar() == "it's %s :x"


def test_what_was_prepared_stays_when_the_transaction_is_rolled_back(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(ADD, {"name": "a", "size": 1})
        connection.rollback()
        connection.execute(ADD, {"name": "a", "size": 2})
        assert connection.execute(LIKE).all() == [("a", 2)]


def test_what_could_not_be_prepared_is_tried_again(engine: Engine) -> None:
    later = prepared("SELECT count(*) FROM later WHERE id = :id")
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="does not exist"):
        connection.execute(later, {"id": 1})
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE later (id integer)"))
        assert connection.scalar(later, {"id": 1}) == 0


def test_a_statement_that_returns_something_else_after_a_migration_is_unavailable_once(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(ALL)
        connection.execute(text("ALTER TABLE tin ADD COLUMN colour text"))
    with engine.connect() as connection, pytest.raises(DBAPIError) as failed:
        connection.execute(ALL)
    assert is_unavailable(failed.value), "so that it is requested again"
    with engine.connect() as connection:
        assert [*connection.execute(ALL).keys()] == ["id", "name", "size", "colour"]


def test_parameters_are_cast_as_in_the_plain_statement(engine: Engine) -> None:
    statement = prepared(
        "SELECT CAST(id AS text), what ->> 0 FROM unnest(CAST(:ids AS uuid[]), CAST(:rows AS json[])) AS t (id, what)"
    )
    ids = [new_id(), new_id()]
    with engine.begin() as connection:
        values = {"ids": [str(each) for each in ids], "rows": ["[1]", "[2]"]}
        assert connection.execute(statement, values).all() == [(str(ids[0]), "1"), (str(ids[1]), "2")]
        assert connection.execute(statement, {"ids": [], "rows": []}).all() == []


def test_a_plan_for_a_small_table_is_not_kept_while_that_grows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    by_id = prepared("SELECT name FROM unnest(CAST(:ids AS integer[])) AS wanted (id) JOIN tin USING (id)")
    fill = text("INSERT INTO tin (name, size) SELECT 'a', 1 FROM generate_series(1, :rows)")
    plan = text("EXPLAIN EXECUTE prepared_0 (ARRAY[7])")

    def plan_after_reads(connection: Connection) -> str:
        for _ in range(8):  # the first five are planned for their values
            assert connection.scalars(by_id, {"ids": list(range(1, 31))}).all() == ["a"] * 30
        return "\n".join(connection.scalars(plan))

    with engine.begin() as connection:
        connection.execute(fill, {"rows": 100})
        assert "Seq Scan on tin" in plan_after_reads(connection)
        connection.execute(fill, {"rows": 50_000})
        assert "Seq Scan on tin" in plan_after_reads(connection), "the plan is kept for a while"
        monkeypatch.setattr("shared.database.prepared.PLAN_SECONDS", 0.0)
        assert "Index Scan" in plan_after_reads(connection)


def test_a_service_plans_a_statement_once_for_arrays_of_any_length(service_client: Callable[..., FlaskClient]) -> None:
    with service_client("saga_orchestrator").application.app_context(), db.transaction() as connection:
        for length in (1, 1, 1, 1, 1, 1, 1, 50, 1):
            assert saga_store.find(connection, [new_id() for _ in range(length)]) == {}
        assert connection.scalars(text("SELECT sum(custom_plans) FROM pg_prepared_statements")).all() == [0]


def test_other_statements_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT :a || '%'"), {"a": "5"}) == "5%"
        assert connection.scalars(PREPARED).all() == []
