"""Hands sagas that are due over to Temporal: new ones, those that an operator turned, and those that are silent.

The rows of sagas are the outbox. A row is marked as handed over in the transaction in which Temporal confirms that it
has the saga; so a saga may be handed over twice, which changes nothing, and none is forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from saga_orchestrator.runtime.leases import Lease, readable
from saga_orchestrator.runtime.versions import Versions
from shared.database.prepared import prepared

ENGINE = "temporal"
OWNER = "temporal"  # of every lease; the fencing token tells one from another

_DUE = prepared("""
    SELECT saga_id, version, data, ids, fault, state, fencing_token + 1 AS fencing_token,
        extract(epoch FROM deadline_at - now()) AS deadline_seconds
    FROM sagas
    WHERE engine = :engine AND owner IS NULL AND due_at <= now() AND version = ANY (CAST(:versions AS integer[]))
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_MARK = prepared("""
    UPDATE sagas SET fencing_token = fencing_token + 1, owner = :owner, revision = 0,
        due_at = now() + :seconds * interval '1 second'
    WHERE saga_id = ANY (CAST(:saga_ids AS uuid[]))
""")
# Each saga is due when it will have been written next; this is for those that were not, for a lease longer.
_FREE = prepared("""
    UPDATE sagas SET owner = NULL
    WHERE saga_id = ANY (ARRAY(
        SELECT saga_id FROM sagas
        WHERE engine = :engine AND owner IS NOT NULL AND due_at < now() - :seconds * interval '1 second'
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
""")


@dataclass(frozen=True)
class HandedOver:
    """How many sagas were due, and how many of them Temporal has now."""

    due: int
    confirmed: int


def hand_over(
    connection: Connection,
    versions: Versions[Any],
    start: Callable[[Sequence[Lease]], Sequence[UUID]],
    limit: int,
    lease_seconds: float,
) -> HandedOver:
    """Have `start` hand over up to `limit` sagas that are due, under leases that count once this is committed.

    `start` returns the ids of those that Temporal confirmed; the others remain due.
    """
    values = {"engine": ENGINE, "versions": list(versions.numbers), "limit": limit}
    rows = connection.execute(_DUE, values).mappings().all()
    leases = list(readable(versions, rows, OWNER))
    confirmed = start(leases) if leases else []
    if confirmed:
        connection.execute(_MARK, {"saga_ids": list(confirmed), "owner": OWNER, "seconds": lease_seconds})
    return HandedOver(len(rows), len(confirmed))


def free_silent(connection: Connection, limit: int, lease_seconds: float) -> int:
    """Make sagas due again that have not been written for a lease longer than expected; returns how many."""
    return connection.execute(_FREE, {"engine": ENGINE, "limit": limit, "seconds": lease_seconds}).rowcount
