"""The change feed: which sagas changed after a position, in an order that skips none.

A row's `changed` is the transaction that wrote it last. A transaction with a lower number may still commit after one
with a higher number, so the feed reads only below the lowest number that is still running (`pg_snapshot_xmin`): there,
nothing can be added any more.
"""

from dataclasses import dataclass
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection, exists, literal, select, text, tuple_

from shared.audit_log import NEXT, PLACE
from shared.saga.source import SagaSource
from shared.saga_views import SagaSummary
from shared.schemas import Body, View
from shared.waiting import Endings

ANY = ""  # what is notified when some saga changed
# How soon to look again when a saga changed but an older transaction still runs, whose end nobody is told.
LOOK_AGAIN_SECONDS = 0.1
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

    `next` is the position to ask from the next time. Without `after`, and with `reset`, there are no items and `next`
    is the present: read what you need from the list, then go on from there. `reset` says that the position that was
    asked for means nothing here (any more), as after the database was restored.
    """

    items: list[SagaSummary]
    next: str
    reset: bool


@dataclass(frozen=True)
class Position:
    """After this saga's row of this transaction; `place` is the database in which that is so."""

    place: str
    changed: int
    saga_id: UUID

    def __str__(self) -> str:
        return f"{self.place}.{self.changed}.{self.saga_id}"

    @classmethod
    def parse(cls, value: str) -> "Position":
        """The position that was written so."""
        place, changed, saga_id = value.split(".")
        return cls(place, int(changed), UUID(saga_id))


@dataclass(frozen=True)
class Page:
    """What was found; `pending` says that more has changed than may be read yet."""

    out: SagaChangesOut
    pending: bool = False


class ChangeFeed:
    """One service's feed; a request that waits holds no connection to the database meanwhile."""

    def __init__(self, source: SagaSource, wakes: Endings, most_seconds: float) -> None:
        """`wakes` is told `ANY` whenever a saga changed; nobody waits for longer than `most_seconds`."""
        self._source, self._wakes, self._most_seconds = source, wakes, most_seconds

    def close(self) -> None:
        """Wait for no more changes."""
        self._wakes.close()

    def read(self, query: SagaChangesQuery) -> SagaChangesOut:
        """What changed after the position, at once or as soon as something has."""
        after = None if query.after is None else Position.parse(query.after)
        seconds = 0.0 if after is None else min(float(query.wait), self._most_seconds)
        with self._wakes.place(ANY, seconds) as place:
            page = self._look(after, query.limit)
            while place is not None and not (page.out.items or page.out.reset):
                if not place.wait(LOOK_AGAIN_SECONDS if page.pending else None):
                    break
                page = self._look(after, query.limit)
        return page.out

    def _look(self, after: Position | None, limit: int) -> Page:
        with self._source.database.transaction() as connection:
            return page_of(connection, self._source, after, limit)


def page_of(connection: Connection, source: SagaSource, after: Position | None, limit: int) -> Page:
    """Up to `limit` sagas that changed after the position, as far as that is settled."""
    place, horizon = connection.execute(_HERE).one()
    here = Position(place, horizon, LOWEST)
    if after is None or after.place != place or after.changed > horizon:
        return Page(SagaChangesOut(items=[], next=str(here), reset=after is not None))
    changed, saga_id = source.sagas.c.changed, source.sagas.c.saga_id
    statement = (
        select(source.sagas)
        .where(tuple_(changed, saga_id) > tuple_(literal(after.changed), literal(after.saga_id)), changed < horizon)
        .order_by(changed, saga_id)
        .limit(limit)
    )
    rows = connection.execute(statement).mappings().all()
    items = [source.summary(row) for row in rows]
    end = Position(place, rows[-1]["changed"], rows[-1]["saga_id"]) if len(rows) == limit else here
    pending = not rows and bool(connection.scalar(select(exists().where(changed >= horizon))))
    return Page(SagaChangesOut(items=items, next=str(end), reset=False), pending)
