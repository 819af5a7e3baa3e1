"""Hands due sagas over to Temporal: new ones, those that an operator changed, and silent ones.

The rows of sagas are the outbox. A row is marked as handed over in the transaction in which Temporal confirms the saga.
So a saga may be handed over twice, which changes nothing, and none is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, TextClause

from saga_orchestrator.runtime.leases import Lease, readable
from saga_orchestrator.runtime.versions import Versions
from shared.database.prepared import prepared

ENGINE = "temporal"
OWNER = "temporal"  # the owner in every lease; the fencing token distinguishes them

_COLUMNS = (
    "saga_id, version, data, ids, fault, trace, state, first_effect_at,"
    " extract(epoch FROM deadline_at - now()) AS deadline_seconds"
)
_DUE = prepared(f"""
    SELECT {_COLUMNS}, fencing_token + 1 AS fencing_token, 0 AS revision
    FROM sagas
    WHERE engine = :engine AND owner IS NULL AND due_at <= now() AND version = ANY (CAST(:versions AS integer[]))
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")  # noqa: S608  (our own)
_MARK = prepared("""
    UPDATE sagas SET fencing_token = fencing_token + 1, owner = :owner, revision = 0,
        due_at = now() + :seconds * interval '1 second'
    WHERE saga_id = ANY (CAST(:saga_ids AS uuid[]))
""")
# A saga is due when its next write is expected. This selects those that are overdue by a lease.
_SILENT = prepared(f"""
    SELECT {_COLUMNS}, fencing_token, revision
    FROM sagas
    WHERE engine = :engine AND owner IS NOT NULL AND due_at < now() - :seconds * interval '1 second'
        AND version = ANY (CAST(:versions AS integer[]))
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")  # noqa: S608  (our own)
_POSTPONE = prepared("""
    UPDATE sagas SET due_at = now() + :seconds * interval '1 second' WHERE saga_id = ANY (CAST(:saga_ids AS uuid[]))
""")
_FENCING_TOKEN = prepared("SELECT fencing_token FROM sagas WHERE saga_id = :saga_id")
Start = Callable[[Sequence[Lease]], Sequence[UUID]]  # returns the ids that Temporal confirmed


@dataclass(frozen=True)
class HandedOver:
    """How many sagas were due, and how many of them Temporal confirmed."""

    due: int
    confirmed: int


def hand_over(
    connection: Connection, versions: Versions[Any], start: Start, limit: int, lease_seconds: float
) -> HandedOver:
    """Call `start` to hand over up to `limit` due sagas, under leases that are valid once this commits.

    Those that Temporal does not confirm remain due.
    """
    return _started(connection, versions, start, (_DUE, _MARK), {"limit": limit, "seconds": lease_seconds})


def start_silent(
    connection: Connection, versions: Versions[Any], start: Start, limit: int, lease_seconds: float
) -> HandedOver:
    """Call `start` for sagas that were not written for a lease longer than expected, under their present leases.

    `start` must change nothing if the workflow exists, since it may only be slow. It may be gone because Temporal lost
    its data, or because somebody ended it.
    """
    return _started(connection, versions, start, (_SILENT, _POSTPONE), {"limit": limit, "seconds": lease_seconds})


def is_handed_over(connection: Connection, lease: Lease) -> bool:
    """Return False while the handover under this lease has not committed; it is repeated if it never does."""
    token: int | None = connection.scalar(_FENCING_TOKEN, {"saga_id": lease.saga.saga_id})
    return token is None or token >= lease.fencing_token


def _started(
    connection: Connection,
    versions: Versions[Any],
    start: Start,
    statements: tuple[TextClause, TextClause],
    values: Mapping[str, Any],
) -> HandedOver:
    read, mark = statements
    told = {**values, "engine": ENGINE, "owner": OWNER, "versions": list(versions.numbers)}
    rows = connection.execute(read, told).mappings().all()
    revisions = {row["saga_id"]: row["revision"] for row in rows}
    leases = [replace(lease, revision=revisions[lease.saga.saga_id]) for lease in readable(versions, rows, OWNER)]
    confirmed = start(leases) if leases else []
    if confirmed:
        connection.execute(mark, {**told, "saga_ids": list(confirmed)})
    return HandedOver(len(rows), len(confirmed))
