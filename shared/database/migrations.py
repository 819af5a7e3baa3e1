"""Applies a service's migrations; may be repeated, and called by many processes at once."""

from pathlib import Path

import tenacity
from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, create_engine, text
from sqlalchemy.exc import IntegrityError, InternalError, ProgrammingError

from shared.config import ROOT

# Roles belong to the whole server. When two databases create one at the same time, PostgreSQL answers one of them
# "duplicate key" or "tuple concurrently updated"; the second try finds the role.
_together = tenacity.retry(
    retry=tenacity.retry_if_exception_type((IntegrityError, InternalError, ProgrammingError)),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random_exponential(0.05, 1),
    reraise=True,
)


class OtherMigrations(Exception):
    """The tables were made by a version whose migrations these do not continue."""


def upgrade(service: str, database_url: str) -> None:
    """Create the service's role and schema when they are missing, then apply its migrations.

    Raises `OtherMigrations`.
    """
    engine = create_engine(database_url, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            _ensure_home(connection, service)
        with engine.begin() as connection:
            _lock(connection, service)
            connection.execute(text(f"SET LOCAL ROLE {service}"))
            connection.execute(text(f"SET LOCAL search_path TO {service}"))
            config = alembic_config(service)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise OtherMigrations(
                    f"{service}: its tables were made by a version with other migrations ({error}); "
                    "start with an empty database (the stack's own: make clean)"
                ) from error
    finally:
        engine.dispose()


def alembic_config(service: str) -> Config:
    """Return Alembic's configuration for the history in `<service>/migrations`."""
    config = Config()
    config.set_main_option("script_location", str(Path(ROOT, service, "migrations")).replace("%", "%%"))
    return config


def run_env(metadata: MetaData) -> None:
    """Run the migrations in the transaction in which `upgrade` holds its lock; each history's `env.py` calls this."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table_schema=metadata.schema,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == metadata.schema,
    )
    with context.begin_transaction():
        context.run_migrations()
        _check_columns(context.config.attributes["connection"], metadata)


def _check_columns(connection: Connection, metadata: MetaData) -> None:
    """Raise `CommandError` for tables at the latest revision that lack a column: an earlier text of it made them.

    Columns that no table here has are another matter: a later version may have added them while this one still runs.
    """
    found = text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :schema")
    there = {tuple(row) for row in connection.execute(found, {"schema": metadata.schema})}
    needed = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]
    missing = [".".join(each) for each in needed if each not in there]
    if missing:
        raise CommandError(f"there is no {', no '.join(missing)}")


def _lock(connection: Connection, service: str) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {service}"})


@_together
def _ensure_home(connection: Connection, service: str) -> None:
    with connection.begin():
        _lock(connection, service)
        exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": service})
        if not exists:
            connection.execute(text(f"CREATE ROLE {service} NOLOGIN"))
        # From PostgreSQL 16 on, the creator of a role is a member of it that may not SET ROLE to it.
        needed = "SET" if (connection.dialect.server_version_info or (0,)) >= (16,) else "MEMBER"
        usable = text("SELECT pg_has_role(current_user, :name, :needed)")
        if not connection.scalar(usable, {"name": service, "needed": needed}):
            connection.execute(text(f"GRANT {service} TO CURRENT_USER"))
        schema = connection.scalar(text("SELECT to_regnamespace(:name)::text"), {"name": service})
        if not schema:
            connection.execute(text(f"CREATE SCHEMA {service} AUTHORIZATION {service}"))
