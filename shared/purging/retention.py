"""How long rows about sagas are kept, and how the age of an id is known.

An id is a UUIDv7 and begins with the time at which it was made. So a service that has deleted its rows of a saga, or of
an event, sees by the id alone that it is too old to be new, and refuses it. Ids of other versions have no time; their
rows are kept.

Rows are deleted `OVERLAP_SECONDS` after their ids are first refused. In between no rows are added, so deleting can't
conflict with a first request. One clock, that of the service's database, decides both.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import Conflict

OVERLAP_SECONDS = 3600.0  # longer than any transaction lasts
DAY_SECONDS = 86400.0
# How long a message may wait in a queue or among the dead letters, and how long a compensation may be retried, before
# participants refuse it as too old: a month, in which an operator can act.
MESSAGE_DAYS = 30.0
OPTION = "retention"  # the execution option of a service's connections that holds its settings


class TooOld(Conflict):
    """It is so old that what was known of it may have been forgotten."""


@dataclass(frozen=True)
class Retention:
    """Retention periods, in seconds."""

    sagas: float  # ended sagas, in the saga service, where they are shown and can be compensated
    steps: float  # what each participant did for a saga, from the saga's beginning
    keys: float  # answers under idempotency keys

    @property
    def undoable(self) -> float:
        """The greatest age at which a saga may be compensated: it must end before participants delete its steps."""
        return self.steps - MESSAGE_DAYS * DAY_SECONDS


def retention_of(connection: Connection) -> Retention:
    """Return the retention periods of the service that opened the connection."""
    retention: Retention = connection.get_execution_options()[OPTION]
    return retention


def check_undoable(connection: Connection, saga_id: UUID) -> None:
    """Raise `TooOld` for a saga whose participants could delete its steps before all of them are compensated."""
    too_old = f"SELECT {too_old_sql('id', ':seconds')} FROM CAST(:id AS uuid) AS id"  # noqa: S608  (our own)
    if connection.scalar(text(too_old), {"id": saga_id, "seconds": retention_of(connection).undoable}):
        raise TooOld(f"saga {saga_id} is too old to be undone", saga_id=saga_id)


def too_old_sql(column: str, seconds: str) -> str:
    """SQL: whether an id was made more than so many seconds ago; a range of the ids' index, and a filter on it."""
    return f"({column} < {_least_id(seconds)} AND {tells_time_sql(column)})"


def tells_time_sql(column: str) -> str:
    """SQL: whether an id is a UUIDv7, which has its time."""
    return f"substr(CAST({column} AS text), 15, 1) = '7'"


def made_at_sql(column: str) -> str:
    """SQL: when a UUIDv7 was made, in seconds since 1970."""
    bits = f"CAST('x' || substr(replace(CAST({column} AS text), '-', ''), 1, 12) AS bit(48))"
    return f"(CAST({bits} AS bigint) / 1000.0)"


def _least_id(seconds: str) -> str:
    """SQL: the smallest UUIDv7 made so many seconds ago: 48 bits of milliseconds, then zeros."""
    made = f"extract(epoch FROM now() - make_interval(secs => CAST({seconds} AS float8)))"
    hexadecimal = f"lpad(to_hex(CAST(greatest(0, floor({made} * 1000)) AS bigint)), 12, '0')"
    return f"CAST(rpad({hexadecimal}, 32, '0') AS uuid)"
