"""Leases: an executor claims due sagas, and frees the sagas of executors that are gone.

Each function is one statement for all of its sagas.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, text

from saga_orchestrator.runtime.definition import SagaDefinition, SagaInstance
from saga_orchestrator.runtime.serialization import instance_from_row, state_from_json
from saga_orchestrator.runtime.state import SagaState
from saga_orchestrator.runtime.versions import Versions
from shared.database.connections import Row
from shared.database.listen import notify
from shared.database.prepared import prepared

log = structlog.get_logger()

DUE = "saga_due"  # the channel that notifies executors that a saga may be claimed
BUILTIN = "builtin"  # the engine that consists of executors
FIRST_FENCING_TOKEN = 1
EXECUTORS = (
    1_396_786_529  # the first key of executors' advisory locks ("SAGa"); the second is the executor's own number
)


@dataclass
class Lease:
    """A saga leased to `owner` under a fencing token; `deadline_seconds` are left until its forward deadline.

    Each claim raises the fencing token, so that a write of an earlier owner changes nothing (Kleppmann, "How to do
    distributed locking").
    """

    definition: SagaDefinition[Any]
    saga: SagaInstance[Any]
    state: SagaState
    fencing_token: int
    owner: str
    deadline_seconds: float
    entries: list[dict[str, Any]] = field(default_factory=list)  # of the timeline, not written yet
    first_effect_at: datetime | None = None  # when a step was first known to be done
    revision: int = 0  # number of writes under this lease, where several processes write (Temporal)


@dataclass(frozen=True)
class Claimant:
    """Who claims: `owner` identifies the claim, `executor_id` the executor and its advisory lock."""

    owner: str
    executor_id: int


@dataclass(frozen=True)
class Acceptance:
    """How sagas are accepted: for this engine, leased to `claimant` or, without one, due at once.

    `notifies`: whether executors are notified, to claim the sagas or to watch whether `claimant` lives.
    """

    engine: str = BUILTIN
    claimant: Claimant | None = None
    lease_seconds: float = 0.0
    notifies: bool = True


@dataclass(frozen=True)
class Claimed:
    """The sagas that were claimed.

    `next_in`: seconds until the next saga is due (not negative; None: never); it may be one of these, whose lease
    expires then. `others`: whether other executors have leases.
    """

    leases: list[Lease]
    next_in: float | None
    others: bool = False


# A claim's commit is asynchronous. A crash of the server may lose it and give its fencing token out again, to this
# executor or to another one. So writes name the owner, too.
_CLAIM = prepared("""
    WITH asynchronous_commit AS (SELECT set_config('synchronous_commit', 'off', true)),
    picked AS (
        SELECT saga_id FROM sagas
        WHERE due_at <= now() AND engine = :engine AND version = ANY (CAST(:versions AS integer[]))
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        UPDATE sagas SET fencing_token = fencing_token + 1, owner = :owner, executor_id = :executor_id, revision = 0,
            due_at = now() + :seconds * interval '1 second'
        FROM asynchronous_commit
        WHERE saga_id = ANY (ARRAY(SELECT saga_id FROM picked))
        RETURNING saga_id, version, data, ids, fault, trace, state, fencing_token, first_effect_at,
            extract(epoch FROM deadline_at - now()) AS deadline_seconds
    ),
    next AS (
        SELECT min(due_at) AS due_at FROM sagas
        WHERE due_at IS NOT NULL AND engine = :engine AND version = ANY (CAST(:versions AS integer[]))
            AND saga_id NOT IN (SELECT saga_id FROM picked)
    )
    SELECT taken.*, extract(epoch FROM least(next.due_at, taken_until) - now()) AS next_in,
        EXISTS (SELECT FROM sagas WHERE executor_id IS NOT NULL AND executor_id <> :executor_id) AS others
    FROM next
    LEFT JOIN (SELECT *, now() + :seconds * interval '1 second' AS taken_until FROM taken) AS taken ON true
""")

# Changes the due time but not the owner: if the executor lives after all, its writes count until another one claims the
# saga, which raises the fencing token.
_FREE_ABANDONED = text("""
    WITH asynchronous_commit AS (SELECT set_config('synchronous_commit', 'off', true)),
    there AS (
        SELECT array_agg(objid::bigint) AS numbers FROM pg_locks
        WHERE locktype = 'advisory' AND classid = :executors AND objsubid = 2 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ),
    abandoned AS (
        SELECT saga_id FROM sagas
        WHERE executor_id IS NOT NULL AND executor_id <> ALL (coalesce((SELECT numbers FROM there), '{}'))
            AND due_at > now()
        FOR UPDATE SKIP LOCKED
    )
    UPDATE sagas SET due_at = now() FROM asynchronous_commit WHERE saga_id = ANY (ARRAY(SELECT saga_id FROM abandoned))
""")


# For leases of a commit in doubt.
_GIVE_BACK = prepared("""
    UPDATE sagas SET due_at = now()
    WHERE executor_id = ANY (CAST(:executor_ids AS integer[])) AND owner = ANY (CAST(:owners AS text[]))
        AND ended_at IS NULL AND due_at > now()
""")


def due_channel(engine: str) -> str:
    """Return the channel that notifies an engine of due sagas."""
    return DUE if engine == BUILTIN else f"{DUE}_{engine}"


def announce(cursor: Any, executor_id: int) -> bool:
    """Take the executor's advisory lock until the cursor's connection ends; return False if the number is taken.

    It shows others that the executor lives: the server releases it at once when the process dies.
    """
    cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (EXECUTORS, executor_id))
    return bool(cursor.fetchone()[0])


def free_abandoned(connection: Connection) -> int:
    """Make sagas due whose executor is gone before the end of their leases; return how many."""
    count = connection.execute(_FREE_ABANDONED, {"executors": EXECUTORS}).rowcount
    if count:
        notify(connection, DUE)
    return count


def give_back(connection: Connection, claimants: Sequence[Claimant]) -> None:
    """Make the sagas due that these claimants have leased, if any. No process may be running them."""
    values = {"owners": [each.owner for each in claimants], "executor_ids": [each.executor_id for each in claimants]}
    connection.execute(_GIVE_BACK, values)


def claim(
    connection: Connection, versions: Versions[Any], claimant: Claimant, limit: int, lease_seconds: float
) -> Claimed:
    """Lease up to `limit` due sagas of these versions; none is leased twice.

    A saga whose row cannot be read is leased but not returned, so it is tried again only when that lease has expired.
    """
    values = {**vars(claimant), "versions": list(versions.numbers), "limit": limit, "seconds": lease_seconds}
    values["engine"] = BUILTIN
    rows = connection.execute(_CLAIM, values).mappings().all()
    next_in = rows[0]["next_in"]
    return Claimed(
        list(readable(versions, [row for row in rows if row["saga_id"] is not None], claimant.owner)),
        None if next_in is None else max(0.0, float(next_in)),
        rows[0]["others"],
    )


def readable(versions: Versions[Any], rows: Iterable[Row], owner: str) -> Iterator[Lease]:
    """Yield the leases of claimed rows; log the rows that cannot be read."""
    for row in rows:
        try:
            yield _lease(versions[row["version"]], row, owner)
        except Exception:  # any error of a stored value; the other sagas go on
            log.exception("saga left to its lease: its row cannot be read", saga_id=row["saga_id"])


def _lease(definition: SagaDefinition[Any], row: Row, owner: str) -> Lease:
    saga, state = instance_from_row(definition, row), state_from_json(row["state"])
    deadline, first_effect_at = float(row["deadline_seconds"]), row["first_effect_at"]
    return Lease(definition, saga, state, row["fencing_token"], owner, deadline, first_effect_at=first_effect_at)
