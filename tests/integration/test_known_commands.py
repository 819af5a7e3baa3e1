"""The commands that set up a service's schema work in any order, repeatedly, and concurrently."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, make_url, text

from shared.config import ROOT
from shared.database.migrations import OtherMigrations, _ensure_home, upgrade
from shared.ids import new_id
from shared.testing import concurrently
from tests.system.servers import SERVICES

# Word for word as documented; `python` is that of the tests.
KNOWN = {
    "carrito": 'cd carrito && python -c "from app import db; db.create_all()"',
    "inventario": "cd inventario && python init_db.py",
    "pagos": 'cd pagos && python -c "from app import app, db; app.app_context().push(); db.create_all()"',
}


def run(command: str, database_url: str) -> None:
    """Run a shell command in a fresh environment; it must succeed without warnings."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "PYTHONWARNINGS": "error", "SETTINGS_FILES": ""}
    env["DATABASE_URL"] = database_url.replace("+psycopg2", "")
    env |= {f"{service.upper()}_DATABASE_URL": database_url for service in SERVICES}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command


@contextmanager
def connected(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def tables_in(database_url: str) -> dict[str, set[str]]:
    """Return the tables of each service that has a schema."""
    with connected(database_url) as connection:
        found = inspect(connection)
        return {name: set(found.get_table_names(name)) for name in found.get_schema_names() if name in SERVICES}


def tables_of(service: str) -> set[str]:
    metadata = importlib.import_module(f"{service}.models").metadata
    return {table.name for table in metadata.sorted_tables} | {"alembic_version"}


@pytest.mark.parametrize("order", [["carrito", "inventario", "pagos"], ["pagos", "inventario", "carrito"]])
def test_the_known_commands_work_in_any_order(order: list[str], empty_database_url: str) -> None:
    for number, service in enumerate(order):
        run(KNOWN[service], empty_database_url)
        assert tables_in(empty_database_url) == {each: tables_of(each) for each in order[: number + 1]}


@pytest.mark.parametrize("service", KNOWN)
def test_a_known_command_may_be_repeated_and_keeps_what_is_there(service: str, fresh_database_url: str) -> None:
    before = tables_in(fresh_database_url)
    run(KNOWN[service], fresh_database_url)
    assert tables_in(fresh_database_url) == before


def test_those_of_all_services_twice_at_once_set_each_up_once(empty_database_url: str) -> None:
    concurrently(*(partial(run, f"cd {each} && python init_db.py", empty_database_url) for each in [*SERVICES] * 2))
    assert tables_in(empty_database_url) == {each: tables_of(each) for each in SERVICES}


def test_tables_of_other_migrations_are_left_as_they_are(fresh_database_url: str) -> None:
    with connected(fresh_database_url) as connection:
        connection.execute(text("UPDATE pagos.alembic_version SET version_num = '0010'"))
        connection.commit()
    with pytest.raises(OtherMigrations, match=r"pagos: its tables were made by a version .*0010"):
        upgrade("pagos", fresh_database_url)


@pytest.mark.parametrize("service", SERVICES)
def test_tables_that_lack_a_column_are_named_and_left_as_they_are(service: str, fresh_database_url: str) -> None:
    """The initial revision was another one when they were made."""
    with connected(fresh_database_url) as connection:
        connection.execute(text(f"ALTER TABLE {service}.purge_runs RENAME COLUMN rows TO former"))
        connection.commit()
    before = tables_in(fresh_database_url)
    with pytest.raises(
        OtherMigrations, match=rf"{service}: its tables were made by .*no purge_runs\.rows.*empty database"
    ):
        upgrade(service, fresh_database_url)
    assert tables_in(fresh_database_url) == before


def test_a_role_made_from_many_databases_at_once_is_made_once(empty_database_url: str, fresh_database_url: str) -> None:
    """Roles belong to the whole server, and locks of one database do not hold in others."""
    for _ in range(5):
        role = f"test_role_{new_id().hex}"
        with ExitStack() as stack:
            connections = [stack.enter_context(connected(url)) for url in (empty_database_url, fresh_database_url) * 4]
            concurrently(*[partial(_ensure_home, connection, role) for connection in connections])
            for connection in connections[:2]:
                assert connection.scalar(text("SELECT to_regnamespace(:name)::text"), {"name": role}) == role
                connection.execute(text(f"DROP SCHEMA {role}"))
                connection.commit()
            connections[0].execute(text(f"DROP ROLE {role}"))
            connections[0].commit()


def test_a_login_that_may_make_roles_and_schemas_is_enough(empty_database_url: str) -> None:
    """No superuser is needed. Since PostgreSQL 16, the creator of a role may not use it without a grant."""
    login, role = f"test_login_{new_id().hex}", f"test_role_{new_id().hex}"
    url = make_url(empty_database_url)
    with connected(empty_database_url) as owner:
        owner.execute(text(f"CREATE ROLE {login} LOGIN CREATEROLE PASSWORD '{login}'"))
        owner.execute(text(f"GRANT CREATE ON DATABASE {url.database} TO {login}"))
        owner.commit()
        with connected(url.set(username=login, password=login).render_as_string(hide_password=False)) as connection:
            _ensure_home(connection, role)
            _ensure_home(connection, role)
            for statement in (f"SET ROLE {role}", f"DROP SCHEMA {role}", "RESET ROLE", f"DROP ROLE {role}"):
                connection.execute(text(statement))
            connection.commit()
        owner.execute(text(f"REVOKE CREATE ON DATABASE {url.database} FROM {login}"))
        owner.execute(text(f"DROP ROLE {login}"))
        owner.commit()


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_end_where_the_models_are(service: str, empty_database_url: str) -> None:
    upgrade(service, empty_database_url)
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == service,
        "version_table_schema": service,
        "compare_type": True,
        "compare_server_default": True,
    }
    with connected(empty_database_url) as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, importlib.import_module(f"{service}.models").metadata) == []
