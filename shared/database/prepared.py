"""Prepared statements: PostgreSQL parses and plans each once for each connection (`PLANNING` in `connections.py`).

Parsing and planning are half of the cost of a checkout's statements. psycopg2 still writes the values into the text,
but into that of a short `EXECUTE`.
"""

import re
import time
from typing import Any

from psycopg2.errors import FeatureNotSupported
from sqlalchemy import Connection, Engine, ExceptionContext, Table, TextClause, event, text

_OPTION = "prepared"
# PostgreSQL keeps a plan until the table is analyzed, at most once a minute. So a sequential scan that was planned for
# a small table would stay while the table grows. Planning all statements again takes a busy connection two ms.
PLAN_SECONDS = 2.0
_PARAMETER = re.compile(r"%\((\w+)\)s")


def prepared(sql: str) -> TextClause:
    """As SQLAlchemy's `text`, for a constant statement that connections prepare.

    PostgreSQL must be able to infer each parameter's type; where it can't, name it: `CAST(:ids AS uuid[])`.
    """
    return text(sql).execution_options(**{_OPTION: True})


def columns_of(table: Table, alias: str = "") -> str:
    """List a table's columns, for a statement that returns all of them.

    With `*`, a migration that adds a column would change the result of a prepared statement, and PostgreSQL would
    refuse to execute it. With names, a process of the previous version goes on.
    """
    return ", ".join(f'{alias or table.name}."{column.name}"' for column in table.columns)


def prepare_on(engine: Engine) -> None:
    """Make the engine's connections prepare these statements when they are first used."""
    event.listen(engine, "before_cursor_execute", _execute_prepared, retval=True)
    event.listen(engine, "handle_error", _forget_outdated)


def _execute_prepared(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, _: bool
) -> tuple[str, Any]:
    if not context.execution_options.get(_OPTION):
        return statement, parameters
    _forget_old_plans(connection.connection.info, cursor)
    known: dict[str, str] = connection.connection.info.setdefault(_OPTION, {})
    if statement not in known:
        known[statement] = _prepare(cursor, f"prepared_{len(known)}", statement)
    return known[statement], parameters


def _forget_old_plans(info: dict[Any, Any], cursor: Any) -> None:
    now = time.monotonic()
    if now - info.setdefault("planned_at", now) >= PLAN_SECONDS:
        cursor.execute("DISCARD PLANS")
        info["planned_at"] = now


def _prepare(cursor: Any, name: str, statement: str) -> str:
    """Prepare the statement for the life of the connection, also if the transaction rolls back; return its EXECUTE."""
    names = list(dict.fromkeys(_PARAMETER.findall(statement)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement).replace("%%", "%")
    cursor.execute(f"PREPARE {name} AS {numbered}")
    if not names:
        return f"EXECUTE {name}"
    cursor.execute("SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = %s", (name,))
    ((types,),) = cursor.fetchall()
    # With their types, since `EXECUTE` does not accept an array of text as one of ids, as a cast in the statement does.
    arguments = ", ".join(f"CAST(%({each})s AS {kind})" for each, kind in zip(names, types, strict=True))
    return f"EXECUTE {name} ({arguments})"


def _forget_outdated(error: ExceptionContext) -> None:
    """Treat the connection as broken when a migration changed a statement's result, so that a new one prepares it."""
    if isinstance(error.original_exception, FeatureNotSupported) and "cached plan" in str(error.original_exception):
        error.is_disconnect = True
