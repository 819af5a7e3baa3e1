"""One service's own part of PostgreSQL: its role, its schema, its migrations and its transactions."""

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from flask import Flask, current_app, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, MetaData, RowMapping, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.config import ServiceSettings
from shared.errors import Refusal
from shared.migrations import upgrade
from shared.prepared import prepare_on
from shared.wakeup import KEEPALIVES

# Named constraints, so that a migration can name what it changes.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def service_metadata(service: str) -> MetaData:
    """Tables of this service live in the schema of its name."""
    return MetaData(schema=service, naming_convention=NAMES)


# A process that freezes in the middle of a transaction (its machine is paused, or cut off) keeps its rows locked, and
# others from taking over its work. Ours take milliseconds from one statement to the next.
IDLE_IN_TRANSACTION_SECONDS = 5
LOCK_SECONDS = 4  # less than a caller waits, so that it is told "not now" instead of nothing
# Whatever a request needs is found by an index. A plan that was kept (`prepared.py`) from when a table was new would
# read the whole of it every time, and what does need whole tables, such as the audit, is not worth compiling.
PLANNING = "-c enable_seqscan=off -c jit=off"


def connect_args(service: str) -> dict[str, Any]:
    """Connection options that put the service's own role on, whatever the login: no rights elsewhere."""
    limits = f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s -c lock_timeout={LOCK_SECONDS}s"
    return {
        "options": f"-c role={service} -c search_path={service} -c timezone=UTC {PLANNING} {limits}",
        "application_name": service,
        **KEEPALIVES,
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
        """Give the app a pool of one connection for each of its threads; connects only when used."""
        app.config["SQLALCHEMY_DATABASE_URI"] = url_of(settings)
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
            "connect_args": connect_args(self.service),
            "pool_size": settings.web_threads,
            "max_overflow": 0,
            "pool_timeout": 5,
        }
        self.init_app(app)
        with app.app_context():
            event.listen(self.engine, "checkout", _replace_if_over)
            prepare_on(self.engine)

    def create_all(self, *_: Any, **__: Any) -> None:
        """Bring the schema up to date by its migrations; needs no app context, may be repeated."""
        uri = current_app.config["SQLALCHEMY_DATABASE_URI"] if has_app_context() else None
        upgrade(self.service, uri or url_of(self._load_settings()))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back by any error but a `Refusal`.

        A refusal is an answer that must be given again, so what was written beside it is kept.
        """
        with self.engine.connect() as connection, connection.begin() as transaction:
            try:
                yield connection
            except Refusal:
                transaction.commit()
                raise


def _replace_if_over(connection: Any, *_: object) -> None:
    """Have the pool make another connection for one that the server closed, as by a restart, while it was idle.

    All that comes in on an idle connection is its end; to look costs a thousandth of asking the server (pre-ping).
    """
    news = select.poll()
    if not connection.closed:
        news.register(connection.fileno(), select.POLLIN)
    if connection.closed or news.poll(0):
        raise DisconnectionError


def url_of(settings: ServiceSettings) -> str:
    """The database URL in a service's settings, each of which names it `database_url`."""
    return str(getattr(settings, "database_url"))  # noqa: B009  (declared by every subclass)


def is_unavailable(error: Exception) -> bool:
    """Whether the database, and not the statement, is at fault: gone, restarting, or out of connections."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout | psycopg2.OperationalError)


Row = RowMapping
