"""One service's own part of PostgreSQL: its role, its schema, its migrations and its transactions."""

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, current_app, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, MetaData, RowMapping, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from shared.config import LOCK_SECONDS, STATEMENT_SECONDS, ServiceSettings
from shared.database.bounded import BoundedConnection, bounded
from shared.database.listen import KEEPALIVES
from shared.database.migrations import upgrade
from shared.database.prepared import prepare_on
from shared.database.sqlstate import CommitInDoubt, drop_useless_connections, is_unavailable, leaves_doubt
from shared.purging.retention import OPTION

__all__ = ["NAMES", "CommitInDoubt", "Database", "Row", "connect_args", "is_unavailable", "service_metadata", "url_of"]

# Named constraints, so that a migration can name what it changes.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def service_metadata(service: str) -> MetaData:
    """Return the metadata of a service's tables, in the schema with the service's name."""
    return MetaData(schema=service, naming_convention=NAMES)


# Limits how long a process that freezes within a transaction keeps rows locked, so that others can take over its work.
# Between two statements, a transaction here takes milliseconds.
IDLE_IN_TRANSACTION_SECONDS = 5
POOL_SECONDS = 3  # a hundred times what a transaction takes; after this, a waiting request gets 503
ANSWER_MARGIN_SECONDS = 0.5  # after `statement_timeout`, so that a working server answers first
# Requests find all that they need by an index; a plan made while a table was small (`prepared.py`) would read the whole
# table. Statements that do read whole tables, such as the audit's, are not worth compiling (JIT). A prepared statement
# has one plan for all values: PostgreSQL takes an array of unknown length for ten values, so the plan for the present
# array, most often of one, looks cheaper, and each execution would be planned again, for as long as it takes.
PLANNING = "-c enable_seqscan=off -c jit=off -c plan_cache_mode=force_generic_plan"


def connect_args(
    service: str, lock_seconds: float = LOCK_SECONDS, statement_seconds: float = STATEMENT_SECONDS
) -> dict[str, Any]:
    """Return connection options: the service's own role, which has no rights in other schemas, and time limits."""
    limits = (
        f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s"
        f" -c lock_timeout={lock_seconds * 1000:.0f} -c statement_timeout={statement_seconds * 1000:.0f}"
    )
    return {
        "options": f"-c role={service} -c search_path={service} -c timezone=UTC {PLANNING} {limits}",
        "application_name": service,
        **KEEPALIVES,
        **bounded(statement_seconds + ANSWER_MARGIN_SECONDS),
    }


class Database(SQLAlchemy):
    """Flask-SQLAlchemy, bound to one service's schema and role."""

    def __init__(self, metadata: MetaData, load_settings: Callable[[], ServiceSettings]) -> None:
        super().__init__(metadata=metadata)
        if metadata.schema is None:
            raise ValueError("a service's metadata names its schema")
        self.service = metadata.schema
        self._load_settings = load_settings

    def attach(self, app: Flask, settings: ServiceSettings) -> None:
        """Give the app a pool of `web_threads` connections, which connects when first used."""
        app.config["SQLALCHEMY_DATABASE_URI"] = url_of(settings)
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
            "connect_args": connect_args(self.service, settings.lock_seconds, settings.statement_seconds),
            "pool_size": settings.web_threads,
            "max_overflow": 0,
            "execution_options": {OPTION: settings.retention},
            "pool_timeout": POOL_SECONDS,
        }
        self.init_app(app)
        with app.app_context():
            event.listen(self.engine, "checkout", _replace_if_over)
            prepare_on(self.engine)
            drop_useless_connections(self.engine)

    def create_all(self, *_: Any, **__: Any) -> None:
        """Apply the migrations; needs no app context, and may be repeated."""
        uri = current_app.config["SQLALCHEMY_DATABASE_URI"] if has_app_context() else None
        upgrade(self.service, uri or url_of(self._load_settings()))

    @contextmanager
    def transaction(self, seconds: float | None = None) -> Iterator[Connection]:
        """Open a transaction: it commits at the end of the block, and rolls back on any error.

        `seconds` replaces the service's time limit of a statement, for those that read whole tables.
        Raises `CommitInDoubt` when the connection is lost during the commit.
        """
        with self.engine.connect() as connection, _allowed(connection, seconds):
            yield connection
            _commit(connection)


@contextmanager
def _allowed(connection: Connection, seconds: float | None) -> Iterator[None]:
    dbapi_connection = connection.connection.dbapi_connection
    if seconds is None or not isinstance(dbapi_connection, BoundedConnection):
        yield
        return
    usual = dbapi_connection.answer_seconds
    dbapi_connection.answer_seconds = seconds + ANSWER_MARGIN_SECONDS
    try:
        connection.execute(text(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}"))
        yield
    finally:
        dbapi_connection.answer_seconds = usual


def _commit(connection: Connection) -> None:
    try:
        connection.commit()
    except DBAPIError as error:
        if leaves_doubt(error):
            raise CommitInDoubt(str(error.orig).strip()) from error
        raise


def _replace_if_over(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    """Replace a connection that the server closed while it was idle, for example by a restart.

    An idle connection is readable only when it has ended; this check costs a thousandth of a query (pre-ping).
    A new connection is not checked, because the pool would give up if that one had ended, too.
    """
    if not record.info.setdefault("used", False):
        record.info["used"] = True
        return
    news = select.poll()
    if not connection.closed:
        news.register(connection.fileno(), select.POLLIN)
    if connection.closed or news.poll(0):
        raise DisconnectionError


def url_of(settings: ServiceSettings) -> str:
    """Return the database URL of a service's settings; every subclass declares `database_url`."""
    return str(getattr(settings, "database_url"))  # noqa: B009  (declared by every subclass)


Row = RowMapping
