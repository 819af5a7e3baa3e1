"""Tells by its SQLSTATE whether a database error means "not now" or "no". No other module does.

"Not now" means that nothing was done, and that the same may succeed later: a request is answered 503, a worker pauses
and tries again for as long as it takes. Every other error is the statement's own fault.
The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from collections.abc import Mapping

import psycopg2
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

NOT_NOW_CLASSES: Mapping[str, str] = {
    "08": "the connection failed",
    "40": "rolled back so that others may go on: a deadlock, or no serial order",
    "53": "out of connections, memory or disk",
    "57": "shut down, starting up, or cancelled, as by statement_timeout",
    "58": "an error of the system below, as of its disk",
}
NOT_NOW: Mapping[str, str] = {
    "25006": "read-only, as a server that a failover left behind",
    "25P03": "idle in its transaction for too long",
    "25P04": "its transaction took too long",
    "55P03": "a lock was not to be had in time",
}
# After these the connection is useless: it is closed, or leads to a server that no longer accepts writes.
_USELESS = ("08", "25006", "25P03", "25P04", "57P")
# With these, a COMMIT may have succeeded. Any other error of a COMMIT is PostgreSQL's word that the transaction was
# rolled back.
_UNDECIDED = ("08", "40003", "57P", "58")
# These concern the rows of the statement, which another transaction has locked. Other rows may be available.
_ROWS_HELD = ("40", "55P03", "57014")


class CommitInDoubt(Exception):
    """The connection was lost during a COMMIT, which may have succeeded or not."""


def is_unavailable(error: BaseException) -> bool:
    """Whether the error means "not now": the database is at fault, and not the statement."""
    if isinstance(error, CommitInDoubt | PoolTimeout):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    code = _sqlstate(error)
    if code is not None:
        return code in NOT_NOW or code[:2] in NOT_NOW_CLASSES
    return isinstance(_original(error), psycopg2.OperationalError | psycopg2.InterfaceError)


def is_held_up(error: BaseException) -> bool:
    """Whether the error means "not now" for the rows of this statement only. Its transaction was rolled back."""
    code = _sqlstate(error)
    return code is not None and code.startswith(_ROWS_HELD) and not code.startswith(_UNDECIDED)


def leaves_doubt(error: DBAPIError) -> bool:
    """Whether a COMMIT that ended with this error may have succeeded."""
    code = _sqlstate(error)
    return is_unavailable(error) if code is None else code.startswith(_UNDECIDED)


def drop_useless_connections(engine: Engine) -> None:
    """Make the engine's pool replace connections to a server that is gone, or no longer accepts writes."""
    event.listen(engine, "handle_error", _drop_if_useless)


def _drop_if_useless(context: ExceptionContext) -> None:
    if (_sqlstate(context.original_exception) or "").startswith(_USELESS):
        context.is_disconnect = True


def _original(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _sqlstate(error: BaseException) -> str | None:
    """Return the server's SQLSTATE; None when it sent none, or could not be reached."""
    code: str | None = getattr(_original(error), "pgcode", None)
    return code
