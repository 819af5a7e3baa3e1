"""For how long what is known of a saga is kept, and how its age is known.

An id is a UUIDv7 and begins with the time at which it was made. So a service that has forgotten a saga, or an event,
can tell by the id alone that it is too old to be new, and refuses it. Ids of other versions tell no time; what is known
of them is kept.

What is refused from some age on is forgotten `OVERLAP_SECONDS` later. In between nothing is added to what is known, so
that forgetting it can't meet with a first request. Both ages are told by one clock, that of the service's database.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import Conflict

OVERLAP_SECONDS = 3600.0  # longer than any transaction lasts
DAY_SECONDS = 86400.0
# For so long, a message may lie in a queue or among the dead letters, or a compensation be tried again, before it is
# too late for it: a month in which somebody looks.
MESSAGE_DAYS = 30.0
OPTION = "retention"  # the execution option by which a service's connections know its settings


class TooOld(Conflict):
    """It is so old that what was known of it may have been forgotten."""


@dataclass(frozen=True)
class Retention:
    """For how many seconds things are kept."""

    sagas: float  # that have ended, where they are shown and can be undone
    steps: float  # what each participant did for a saga, from the saga's beginning on
    keys: float  # the answers under idempotency keys

    @property
    def undoable(self) -> float:
        """How old a saga may be that somebody wants undone: it must end before its participants forget its steps."""
        return self.steps - MESSAGE_DAYS * DAY_SECONDS


def retention_of(connection: Connection) -> Retention:
    """The retention that the settings of the connection's service say."""
    retention: Retention = connection.get_execution_options()[OPTION]
    return retention


def check_undoable(connection: Connection, saga_id: UUID) -> None:
    """Raise `TooOld` for a saga whose participants could forget its steps before all of them are undone."""
    too_old = f"SELECT {too_old_sql('id', ':seconds')} FROM CAST(:id AS uuid) AS id"  # noqa: S608  (our own)
    if connection.scalar(text(too_old), {"id": saga_id, "seconds": retention_of(connection).undoable}):
        raise TooOld(f"saga {saga_id} is too old to be undone", saga_id=saga_id)


def too_old_sql(column: str, seconds: str) -> str:
    """SQL: whether an id was made more than so many seconds ago. A range of the ids' index, and a filter on it."""
    return f"({column} < {_least_id(seconds)} AND {tells_time_sql(column)})"


def tells_time_sql(column: str) -> str:
    """SQL: whether an id is one that tells its time."""
    return f"substr(CAST({column} AS text), 15, 1) = '7'"


def made_at_sql(column: str) -> str:
    """SQL: when such an id was made, in seconds since 1970."""
    bits = f"CAST('x' || substr(replace(CAST({column} AS text), '-', ''), 1, 12) AS bit(48))"
    return f"(CAST({bits} AS bigint) / 1000.0)"


def _least_id(seconds: str) -> str:
    """The least of the ids that were made so many seconds ago: 48 bits of milliseconds, and zeros."""
    made = f"extract(epoch FROM now() - make_interval(secs => CAST({seconds} AS float8)))"
    hexadecimal = f"lpad(to_hex(CAST(greatest(0, floor({made} * 1000)) AS bigint)), 12, '0')"
    return f"CAST(rpad({hexadecimal}, 32, '0') AS uuid)"
