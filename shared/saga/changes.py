"""The change feed: which sagas changed after a position, in an order that skips none.

It reads the log that triggers write for audits (`shared/auditing/log.py`): a row names a saga and the id of the
transaction that changed it. A transaction may commit after one with a higher id, so the feed reads only below the
lowest id that is still running (`pg_snapshot_xmin`). Below it, no row can be added. A saga's own `changed` is the
transaction that wrote it last; the feed skips older log rows about the saga, for which its latest row stands.

A request that waits polls. A notification with every write would cost each saga more than the polling of its viewers:
PostgreSQL wakes every connection that listens to anything for it
(`docs/decisions/0016-what-the-change-feed-costs.md`).
"""

from dataclasses import dataclass
from threading import BoundedSemaphore
from time import monotonic, sleep
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection, Select, Table, func, literal, select, text, true, tuple_

from shared.auditing.log import NEXT, PLACE, AuditLog
from shared.http.schemas import Body, View
from shared.saga.port import ListedSagas
from shared.saga.views import SagaSummary

POLL_SECONDS = 0.2  # soon enough for a viewer; a poll costs a millisecond
# Log rows read by one poll: each saga has some eight of them, and all but the last are skipped.
MOST_READ = 2000
LOWEST = UUID(int=0)
POSITION = r"^[0-9]{1,20}-[0-9]{1,10}-[0-9]{1,10}\.[0-9]{1,18}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_HERE = text(f"SELECT ({PLACE}) AS place, ({NEXT}) AS horizon")


class SagaChangesQuery(Body):
    """From where on, how many at most, and for how many seconds to wait while there are none."""

    after: str | None = Field(default=None, pattern=POSITION, description="`next` of the answer before")
    limit: int = Field(default=200, ge=1, le=200)
    wait: int = Field(default=0, ge=0, le=60)


class SagaChangesOut(View):
    """Sagas that changed after a position, each as it is now, in the order of their changes.

    `next` is the position for the next request. Without `after`, and with `reset`, there are no items and `next` is the
    present: read what you need from the list, then go on from there. `reset` says that the position of the request is
    not valid here (any more), as after the database was restored, or when it is older than the log.
    """

    items: list[SagaSummary]
    next: str
    reset: bool


@dataclass(frozen=True)
class Position:
    """A position in the feed: after this saga's row of this transaction, in the database that `place` identifies."""

    place: str
    changed: int
    saga_id: UUID

    def __str__(self) -> str:
        return f"{self.place}.{self.changed}.{self.saga_id}"

    @classmethod
    def parse(cls, value: str) -> "Position":
        """Parse a position that `str` wrote."""
        place, changed, saga_id = value.split(".")
        return cls(place, int(changed), UUID(saga_id))


@dataclass(frozen=True)
class Page:
    """See `SagaChangesOut`."""

    items: list[SagaSummary]
    next: Position
    reset: bool = False


class ChangeFeed:
    """One service's feed. A waiting request holds no database connection."""

    def __init__(self, sagas: ListedSagas, places: int, most_seconds: float) -> None:
        """At most `places` requests wait at once, for at most `most_seconds`; further ones are answered at once."""
        self._sagas, self._most_seconds = sagas, most_seconds
        self.places = BoundedSemaphore(places)

    def read(self, query: SagaChangesQuery) -> SagaChangesOut:
        """Return the changes after the position; with `wait`, as soon as there are any."""
        until = monotonic() + min(query.wait, self._most_seconds)
        after = None if query.after is None else Position.parse(query.after)
        page = self._look(after, query.limit)
        if after is not None and query.wait and self.places.acquire(blocking=False):
            try:
                while not (page.items or page.reset) and (left := until - monotonic()) > 0:
                    sleep(min(left, POLL_SECONDS))
                    page = self._look(page.next, query.limit)
            finally:
                self.places.release()
        return SagaChangesOut(items=page.items, next=str(page.next), reset=page.reset)

    def _look(self, after: Position | None, limit: int) -> Page:
        with self._sagas.tables.database.transaction() as connection:
            return page_of(connection, self._sagas, after, limit)


def page_of(connection: Connection, sagas: ListedSagas, after: Position | None, limit: int) -> Page:
    """Return up to `limit` sagas that changed after the position, in log rows below the lowest running transaction."""
    place, horizon = connection.execute(_HERE).one()
    begins = sagas.tables.audit_log.begins(connection)  # may be higher than a running transaction
    here = Position(place, max(horizon, begins), LOWEST)
    if after is None or after.place != place or not begins <= after.changed <= here.changed:
        return Page([], here, reset=after is not None)
    logged = _logged(sagas.tables.audit_log, after, horizon)
    rows = connection.execute(_changed(sagas.tables.sagas, logged).limit(limit)).mappings().all()
    items = [sagas.summary(row) for row in rows]
    if len(rows) == limit:
        end = Position(place, rows[-1]["xid"], rows[-1]["saga_id"])
    else:
        last_read = connection.execute(logged.offset(MOST_READ - 1).limit(1)).one_or_none()
        end = here if last_read is None else Position(place, last_read.xid, last_read.saga_id)
    return Page(items, end)


def _logged(audit_log: AuditLog, after: Position, horizon: int) -> Select[tuple[int, UUID]]:
    xid, saga_id = audit_log.changes_table.c.xid, audit_log.changes_table.c.saga_id
    beyond = tuple_(xid, saga_id) > tuple_(literal(after.changed), literal(after.saga_id))
    return select(xid, saga_id).where(beyond, xid < horizon).order_by(xid, saga_id)


def _changed(sagas: Table, logged: Select[tuple[int, UUID]]) -> Select[tuple[object, ...]]:
    """Select each saga at its last row among those read, unless it has a later one; in the order of the log."""
    read = logged.limit(MOST_READ).subquery()
    xid = func.max(read.c.xid).label("xid")
    last = select(read.c.saga_id, xid).group_by(read.c.saga_id).order_by(xid, read.c.saga_id).subquery()
    there = sagas.c.saga_id == last.c.saga_id, sagas.c.changed <= last.c.xid
    saga = select(sagas).where(*there).limit(1).lateral()
    return select(saga, last.c.xid).select_from(last).join(saga, true()).order_by(last.c.xid, last.c.saga_id)
