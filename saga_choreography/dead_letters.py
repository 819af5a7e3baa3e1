"""Dead letters, for operators: list them, and redrive them to their services.

Reading a queue of dead letters hides its messages from other readers for a moment. So one reader at a time is allowed,
across all processes. A redrive is stored before it is done (who, why, which letters), and completed after it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import OperationalError

from saga_choreography import saga_store
from saga_choreography.domain import BeingLookedAt, NoBroker
from saga_choreography.letter_filter import LetterFilter
from saga_choreography.models import db, redrives
from shared.config import LOCK_SECONDS
from shared.ids import new_id
from shared.messaging.dead_letters import Letter, find, redrive

LOCK = text("SELECT pg_advisory_lock(hashtext('saga_choreography dead letters'))")
UNLOCK = text("SELECT pg_advisory_unlock(hashtext('saga_choreography dead letters'))")


_IN_PROCESS = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Redrive(LetterFilter):
    """A request to redrive dead letters: which ones, of all services when none is named, why, and who requests it."""

    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class StoredRedrive:
    """A redrive as it is stored: what was requested (`wanted`), which letters were moved, and when it was done."""

    id: UUID
    requested_at: datetime
    by: str
    reason: str
    wanted: Mapping[str, Any]
    moved: Sequence[Mapping[str, Any]]
    finished_at: datetime | None


def list_letters(url: str | None, which: LetterFilter, limit: int) -> list[Letter]:
    """Return up to `limit` matching dead letters of each service; raises `NoBroker`, `BeingLookedAt`."""
    fits = None if which.takes_all else which.fits
    with _alone(), _broker(url) as there:
        return [letter for service in which.services for letter in find(there, service, limit, fits)]


def latest_redrives(limit: int) -> list[StoredRedrive]:
    """Return the latest redrives, the last one first."""
    statement = select(redrives).order_by(redrives.c.id.desc()).limit(limit)
    with db.transaction() as connection:
        return [StoredRedrive(**row) for row in connection.execute(statement).mappings()]


def try_again(url: str | None, request: Redrive) -> StoredRedrive:
    """Redrive the matching letters; return the stored redrive, with the letters that were moved.

    Raises `NoBroker` and `BeingLookedAt`. If the process dies in between, the stored redrive has no `finished_at`.
    """
    with _alone(), _broker(url) as there:
        redrive_id = new_id()
        with db.transaction() as connection:
            _begin(connection, redrive_id, request)
        for each in request.services:
            moved = redrive(there, each, request.fits)
            with db.transaction() as connection:
                _add(connection, redrive_id, request, moved)
        with db.transaction() as connection:
            return _finish(connection, redrive_id)


def _begin(connection: Connection, redrive_id: UUID, request: Redrive) -> None:
    connection.execute(
        insert(redrives).values(id=redrive_id, by=request.by, reason=request.reason, wanted=request.told, moved=[])
    )


def _add(connection: Connection, redrive_id: UUID, request: Redrive, moved: Sequence[Letter]) -> None:
    for letter in moved:
        if letter.saga_id is not None:
            detail = f"{letter.event} to {letter.service}: {request.reason}"
            saga_store.note(connection, [letter.saga_id], "redriven", request.by, detail=detail, reason=request.reason)
    so_far = connection.scalar(select(redrives.c.moved).where(redrives.c.id == redrive_id)) or []
    found = [*so_far, *(_named(letter) for letter in moved)]
    connection.execute(update(redrives).where(redrives.c.id == redrive_id).values(moved=found))


def _finish(connection: Connection, redrive_id: UUID) -> StoredRedrive:
    statement = update(redrives).where(redrives.c.id == redrive_id).values(finished_at=func.now()).returning(redrives)
    return StoredRedrive(**connection.execute(statement).mappings().one())


def _named(letter: Letter) -> dict[str, Any]:
    saga_id = None if letter.saga_id is None else str(letter.saga_id)
    return {"service": letter.service, "event_id": letter.event_id, "event": letter.event, "saga_id": saga_id}


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock that admits one reader across all processes; raise `BeingLookedAt` when it can't be taken in time.

    At most one thread of a process waits for it with a database connection.
    """
    if not _IN_PROCESS.acquire(timeout=LOCK_SECONDS):
        raise BeingLookedAt("somebody else looks at the dead letters")
    try:
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _lock(connection)
            try:
                yield
            finally:
                connection.execute(UNLOCK)
    finally:
        _IN_PROCESS.release()


def _lock(connection: Connection) -> None:
    """Take the lock for the session, not for a transaction, which would stay open meanwhile."""
    try:
        connection.execute(LOCK)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise BeingLookedAt("somebody else looks at the dead letters") from error
        raise


@contextmanager
def _broker(url: str | None) -> Iterator[str]:
    """The broker's URL; raises `NoBroker` when there is none, or when it is not reached in the block."""
    if url is None:
        raise NoBroker("RABBITMQ_URL is not set")
    try:
        yield url
    except ConnectionError as error:
        raise NoBroker(str(error)) from error
