"""Operators' actions on a saga: compensate it, or retry it now. Both end the lease of its executor."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from saga_orchestrator.runtime.definition import SagaDefinition
from saga_orchestrator.runtime.engine import reset_retries, turn_back
from saga_orchestrator.runtime.leases import BUILTIN, due_channel
from saga_orchestrator.runtime.serialization import as_json, state_from_json, state_to_json, timeline_entry
from saga_orchestrator.runtime.state import SagaState
from saga_orchestrator.runtime.versions import Versions
from shared.database.connections import Row
from shared.database.listen import notify
from shared.purging.retention import check_undoable
from shared.saga.errors import SagaEnded, SagaNotFound

_LOCK = text("SELECT saga_id, version, status, state FROM sagas WHERE saga_id = :saga_id FOR NO KEY UPDATE")

# The new fencing token ends the lease of an executor that may be running the saga, so whatever it does is compensated.
_TURN = text("""
    UPDATE sagas SET state = CAST(:state AS json), status = :status, retrying = :retrying,
        fencing_token = fencing_token + 1, owner = NULL, executor_id = NULL,
        engine = CASE WHEN ended_at IS NULL THEN engine ELSE :engine END,
        first_effect_at = CASE WHEN status = 'completed' THEN now() ELSE first_effect_at END,
        due_at = CASE WHEN NOT :ended THEN now() END, ended_at = CASE WHEN :ended THEN now() END,
        updated_at = now(), changed = DEFAULT
    WHERE saga_id = :saga_id
    RETURNING engine
""")

_NOTE = text("""
    INSERT INTO timeline (id, saga_id, kind, started_at, finished_at, "by", reason)
    VALUES (:id, :saga_id, :kind, :started_at, :finished_at, :by, :reason)
""")


def compensate(  # noqa: PLR0913  (the last one only where there are several engines)
    connection: Connection, versions: Versions[Any], saga_id: UUID, reason: str, by: str, *, engine: str = BUILTIN
) -> None:
    """Turn a saga back, also a completed one. Of a saga that has turned back, only record who requested it again.

    A saga that had ended is compensated by `engine`, another one by the engine that runs it. Raises `SagaNotFound`,
    `UnknownVersion`, and `TooOld` for a completed saga whose participants may have deleted its steps.
    """
    row, definition = _locked(connection, saga_id, versions)
    state = state_from_json(row["state"])
    if not state.backward:
        check_undoable(connection, saga_id)
        _turn(connection, saga_id, turn_back(definition, state, reason), engine)
    _note(connection, timeline_entry(saga_id, "compensation_requested", by=by, reason=reason))


def retry(connection: Connection, versions: Versions[Any], saga_id: UUID, reason: str, by: str) -> None:
    """Retry a waiting or stuck saga now, under a new lease.

    Raises `SagaNotFound`, `SagaEnded`, and `UnknownVersion`, since only a process with that version can show the saga.
    """
    row, _ = _locked(connection, saga_id, versions)
    state = state_from_json(row["state"])
    if state.ended:
        raise SagaEnded(saga_id, row["status"])
    _turn(connection, saga_id, reset_retries(state))
    _note(connection, timeline_entry(saga_id, "retry_requested", by=by, reason=reason))


def _locked(connection: Connection, saga_id: UUID, versions: Versions[Any]) -> tuple[Row, SagaDefinition[Any]]:
    row = connection.execute(_LOCK, {"saga_id": saga_id}).mappings().first()
    if row is None:
        raise SagaNotFound(saga_id)
    return row, versions[row["version"]]


def _turn(connection: Connection, saga_id: UUID, state: SagaState, engine: str = BUILTIN) -> None:
    values = {"engine": engine, "status": state.status, "retrying": state.retrying, "ended": state.ended}
    engine = connection.execute(
        _TURN, {"saga_id": saga_id, "state": as_json(state_to_json(state)), **values}
    ).scalar_one()
    notify(connection, due_channel(engine))


def _note(connection: Connection, entry: Mapping[str, Any]) -> None:
    connection.execute(_NOTE, entry)
