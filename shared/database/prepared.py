"""Statements that each connection prepares: PostgreSQL reads and plans them once, and not every time anew.

For the statements of every checkout that is half of what they cost. Values are still written into the text by
psycopg2, but into that of a short `EXECUTE`.
"""

import re
import time
from typing import Any

from psycopg2.errors import FeatureNotSupported
from sqlalchemy import Connection, Engine, ExceptionContext, Table, TextClause, event, text

_OPTION = "prepared"
# PostgreSQL keeps a plan until it looks at the table again, once a minute at best: one that reads a small table from
# end to end would be kept while that grows. To plan all anew takes a busy connection about two milliseconds.
PLAN_SECONDS = 2.0
_PARAMETER = re.compile(r"%\((\w+)\)s")


def prepared(sql: str) -> TextClause:
    """A constant statement, as of `text`.

    PostgreSQL must be able to tell each parameter's type from where it stands; else name it: `CAST(:ids AS uuid[])`.
    """
    return text(sql).execution_options(**{_OPTION: True})


def columns_of(table: Table, alias: str = "") -> str:
    """A table's columns, for a statement that returns all of them.

    With `*`, a migration that adds a column would change what a prepared statement returns, and PostgreSQL refuses to
    execute it again. A process of the version before names the columns that it knows, and goes on.
    """
    return ", ".join(f'{alias or table.name}."{column.name}"' for column in table.columns)


def prepare_on(engine: Engine) -> None:
    """Have the engine's connections prepare these statements when they are first used."""
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
    """Prepare it, for as long as the connection lasts, whatever becomes of the transaction; how to execute it."""
    names = list(dict.fromkeys(_PARAMETER.findall(statement)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement).replace("%%", "%")
    cursor.execute(f"PREPARE {name} AS {numbered}")
    if not names:
        return f"EXECUTE {name}"
    cursor.execute("SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = %s", (name,))
    ((types,),) = cursor.fetchall()
    # With their types, since `EXECUTE` does not take an array of text for one of ids, as a cast in the statement does.
    arguments = ", ".join(f"CAST(%({each})s AS {kind})" for each, kind in zip(names, types, strict=True))
    return f"EXECUTE {name} ({arguments})"


def _forget_outdated(error: ExceptionContext) -> None:
    """A migration changed what a statement returns: as if the connection were gone, so that a new one prepares it."""
    if isinstance(error.original_exception, FeatureNotSupported) and "cached plan" in str(error.original_exception):
        error.is_disconnect = True
