"""Writes sagas: accepts them, and stores checkpoints, which have an effect only under the saga's lease.

Each function is one statement for all of its sagas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from saga_orchestrator.runtime.definition import SagaDefinition, SagaInstance
from saga_orchestrator.runtime.engine import begin
from saga_orchestrator.runtime.leases import DUE, FIRST_FENCING_TOKEN, Acceptance, Lease, due_channel
from saga_orchestrator.runtime.serialization import as_json, instance_to_row, state_to_json
from shared.database.listen import notify
from shared.database.prepared import prepared
from shared.ids import new_id
from shared.purging.retention import retention_of, too_old_sql

Data = TypeVar("Data")
ENDS = "saga_ended"  # the channel that notifies of sagas that have ended


class CheckpointKind(StrEnum):
    """Why a saga's state is written."""

    DECISION = "decision"  # to turn back, or to request the pivot
    END = "end"  # if it is lost, the last commands are repeated, which changes nothing
    RELINQUISH = "relinquish"  # ends the lease; no executor has the saga until it is due again
    PROGRESS = "progress"  # for people, and to renew the lease


# A crash of the server may lose the other kinds: their contents can be found out again (docs/decisions/0002).
DURABLE = frozenset({CheckpointKind.DECISION})
KEEPS_LEASE = frozenset({CheckpointKind.DECISION, CheckpointKind.PROGRESS})


@dataclass(frozen=True)
class Checkpoint:
    """A saga to write; due again in `due_in` seconds, or never (None), since it has ended."""

    kind: CheckpointKind
    lease: Lease
    due_in: float | None

    @property
    def saga_id(self) -> UUID:
        """The saga's id."""
        return self.lease.saga.saga_id

    @property
    def durable(self) -> bool:
        """Whether the commit waits for the disk. An end waits, too, if the stored row does not tell of the pivot."""
        return self.kind in DURABLE or (self.kind is CheckpointKind.END and self.lease.revision > 0)


_ACCEPT = prepared(f"""
    WITH new AS (
        SELECT * FROM json_to_recordset(CAST(:sagas AS json)) AS new (
            saga_id uuid, data json, ids json, fault text, trace text, state json, note_id uuid
        )
    ),
    accepted AS (
        INSERT INTO sagas (
            saga_id, version, data, ids, fault, trace, state, deadline_at, due_at, fencing_token, owner,
            executor_id, engine
        )
        SELECT saga_id, :version, data, ids, fault, trace, state, now() + :seconds * interval '1 second',
            now() + :leased_seconds * interval '1 second', :fencing_token, :owner, :executor_id, :engine
        FROM new
        WHERE NOT {too_old_sql("saga_id", ":kept_seconds")}
        ON CONFLICT DO NOTHING
        RETURNING saga_id
    ),
    noted AS (
        INSERT INTO timeline (id, saga_id, kind, started_at, finished_at)
        SELECT new.note_id, saga_id, 'accepted', now(), now() FROM accepted JOIN new USING (saga_id)
        ON CONFLICT DO NOTHING
    )
    SELECT saga_id, CASE WHEN :notifies THEN pg_notify(:due, '') END FROM accepted
""")  # noqa: S608  (our own)

# Each saga is written under its own lease; returns the ids of those whose lease was valid. Ids are passed twice, since
# PostgreSQL expects a hundred rows of JSON, and would rather read the whole table than look those up. An existing
# entry of the timeline is updated: all attempts after the first ones share one (`active_saga.py`).
_SAVE = prepared("""
    WITH durability AS (
        SELECT CASE WHEN :durable THEN 'on' ELSE set_config('synchronous_commit', 'off', true) END
    ),
    new AS (
        SELECT * FROM json_to_recordset(CAST(:checkpoints AS json)) AS new (
            saga_id uuid, fencing_token integer, owner text, revision integer, keeps_lease boolean,
            state json, status text, due_in float8, retrying boolean, failed_step text, first_effect_at timestamptz
        )
    ),
    written AS (
        UPDATE sagas SET state = new.state, status = new.status, updated_at = now(), changed = DEFAULT,
            revision = new.revision,
            due_at = now() + new.due_in * interval '1 second',
            executor_id = CASE WHEN new.keeps_lease THEN sagas.executor_id END,
            retrying = new.retrying, failed_step = new.failed_step,
            first_effect_at = coalesce(sagas.first_effect_at, new.first_effect_at),
            ended_at = CASE WHEN new.due_in IS NULL THEN now() END
        FROM new, durability
        WHERE sagas.saga_id = ANY (CAST(:saga_ids AS uuid[]))
            AND sagas.saga_id = new.saga_id AND sagas.fencing_token = new.fencing_token AND sagas.owner = new.owner
            AND sagas.revision <= new.revision
        RETURNING sagas.saga_id, sagas.ended_at
    ),
    noted AS (
        INSERT INTO timeline (
            id, saga_id, kind, step, direction, attempt, outcome, started_at, finished_at, detail, executor,
            together, status_code, fault, answer
        )
        SELECT id, saga_id, kind, step, direction, attempt, outcome, started_at, finished_at, detail, executor,
            together, status_code, fault, answer
        FROM json_to_recordset(CAST(:entries AS json)) AS entry (
            id uuid, saga_id uuid, kind text, step text, direction text, attempt integer, outcome text,
            started_at timestamptz, finished_at timestamptz, detail text, executor text,
            together integer, status_code integer, fault text, answer text
        )
        JOIN written USING (saga_id)
        ON CONFLICT (id) DO UPDATE SET attempt = excluded.attempt, outcome = excluded.outcome,
            started_at = excluded.started_at, finished_at = excluded.finished_at, detail = excluded.detail,
            executor = excluded.executor, together = excluded.together, status_code = excluded.status_code,
            fault = excluded.fault, answer = excluded.answer
    )
    SELECT saga_id, CASE WHEN ended_at IS NOT NULL THEN pg_notify(:ends, saga_id::text) END
    FROM written
""")


def new_instance(
    definition: SagaDefinition[Data], saga_id: UUID, data: Data, ids: Mapping[str, UUID], fault: str | None = None
) -> SagaInstance[Data]:
    """Make a saga with an id for each step that names one: those in `ids`, and new ones."""
    return SagaInstance(saga_id, data, {name: ids.get(name) or new_id() for name in definition.ids}, fault)


def accept(
    connection: Connection,
    definition: SagaDefinition[Data],
    sagas: Sequence[SagaInstance[Data]],
    forward_seconds: float,
    how: Acceptance,
) -> set[UUID]:
    """Insert these sagas; return the ids of those that are new.

    The others were accepted before, or are so old that they may have been purged.
    """
    state = state_to_json(begin(definition))
    rows = [{**instance_to_row(definition, saga), "state": state, "note_id": new_id()} for saga in sagas]
    rows.sort(key=lambda row: row["saga_id"])  # locked in one order
    values = {
        "sagas": as_json(rows),
        "version": definition.version,
        "seconds": forward_seconds,
        "kept_seconds": retention_of(connection).sagas,
        "leased_seconds": how.lease_seconds,
        "fencing_token": 0 if how.claimant is None else FIRST_FENCING_TOKEN,
        "owner": None if how.claimant is None else how.claimant.owner,
        "executor_id": None if how.claimant is None else how.claimant.executor_id,
        "notifies": how.notifies,
        "engine": how.engine,
        "due": due_channel(how.engine),
    }
    return set(connection.scalars(_ACCEPT, values))


def save(connection: Connection, checkpoints: Sequence[Checkpoint]) -> set[UUID]:
    """Write these sagas, each at most once among them. Return those whose lease had ended, which are not changed."""
    rows = sorted((_row(each) for each in checkpoints), key=lambda row: row["saga_id"])  # locked in one order
    entries = {entry["id"]: entry for each in checkpoints for entry in each.lease.entries}  # of each id, the latest
    saga_ids = {each.saga_id for each in checkpoints}
    durable = any(each.durable for each in checkpoints)
    values = {"saga_ids": list(saga_ids), "checkpoints": as_json(rows), "durable": durable}
    written = connection.scalars(_SAVE, {**values, "entries": as_json([*entries.values()]), "ends": ENDS})
    lost = saga_ids.difference(written)
    if any(each.kind is CheckpointKind.RELINQUISH and not each.lease.revision for each in checkpoints):
        notify(connection, DUE)
    return lost


def _row(checkpoint: Checkpoint) -> dict[str, Any]:
    lease = checkpoint.lease
    return {
        "saga_id": checkpoint.saga_id,
        "fencing_token": lease.fencing_token,
        "owner": lease.owner,
        "revision": lease.revision,
        "keeps_lease": checkpoint.kind in KEEPS_LEASE,
        "state": state_to_json(lease.state),
        "status": lease.state.status,
        "retrying": lease.state.retrying,
        "failed_step": lease.state.failed_step,
        "first_effect_at": lease.first_effect_at,
        "due_in": checkpoint.due_in,
    }
