"""Each service can access its own tables and no others, though one login serves all."""

import importlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError

from shared.database.connections import connect_args
from tests.system.servers import SERVICES

PAIRS = [(service, other) for service in SERVICES for other in SERVICES if other != service]
DENIED = "42501"


@pytest.fixture
def connection(service: str, database_url: str) -> Iterator[Connection]:
    """Open a connection as the service does."""
    engine = create_engine(database_url, connect_args=connect_args(service))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def tables_of(service: str) -> list[str]:
    metadata = importlib.import_module(f"{service}.models").metadata
    return [table.fullname for table in metadata.sorted_tables]


@pytest.mark.parametrize(("service", "other"), PAIRS)
@pytest.mark.parametrize(
    "statement", ["SELECT 1 FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES", "DROP TABLE {}"]
)
def test_a_service_is_refused_on_another_s_tables(
    connection: Connection, service: str, other: str, statement: str
) -> None:
    for table in [*tables_of(other), f"{other}.alembic_version"]:
        with pytest.raises(ProgrammingError) as refused:
            connection.execute(text(statement.format(table)))
        assert getattr(refused.value.orig, "pgcode", None) == DENIED
        connection.rollback()


@pytest.mark.parametrize(("service", "other"), PAIRS)
def test_a_service_makes_nothing_in_another_s_schema(connection: Connection, service: str, other: str) -> None:
    with pytest.raises(ProgrammingError) as refused:
        connection.execute(text(f"CREATE TABLE {other}.intruder (id integer)"))
    assert getattr(refused.value.orig, "pgcode", None) == DENIED


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_works_on_its_own_tables(connection: Connection, service: str) -> None:
    assert connection.scalar(text("SELECT current_user")) == service
    assert connection.scalar(text("SHOW search_path")) == service
    for table in tables_of(service):
        connection.execute(text(f"SELECT 1 FROM {table}"))
        connection.execute(text(f"SELECT 1 FROM {table.partition('.')[2]}"))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_s_role_is_nothing_more_than_that(connection: Connection, service: str) -> None:
    role = connection.execute(
        text(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = :name"
        ),
        {"name": service},
    ).one()
    assert not any(role)
    memberships = text("SELECT count(*) FROM pg_auth_members WHERE member = to_regrole(:name)")
    assert connection.scalar(memberships, {"name": service}) == 0
