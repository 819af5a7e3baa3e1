"""Reads sagas as people see them. `runtime/store.py` writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from saga_orchestrator.models import timeline
from shared.database.connections import Row
from shared.database.prepared import prepared
from shared.saga.rows import SagaRow

StepTimes = Mapping[str, tuple[datetime, datetime]]  # of each step's action: the first request's start, the last's end


@dataclass(frozen=True, kw_only=True)
class StoredSaga(SagaRow):
    """A saga's row, with the shown columns; `data`, `ids` and `state` are JSON (`runtime/serialization.py`)."""

    version: int
    data: Mapping[str, Any]
    ids: Mapping[str, str]
    state: Mapping[str, Any]
    fault: str | None
    trace: str | None
    executor_id: int | None


@dataclass(frozen=True)
class SagaWithTimes:
    """A saga, and the times of its steps."""

    saga: StoredSaga
    step_times: StepTimes


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """An entry of the timeline; the fields from `together` to `answer` describe one request (`runtime/tables.py`)."""

    id: UUID
    saga_id: UUID
    kind: str
    step: str | None
    direction: str | None
    attempt: int | None
    outcome: str | None
    started_at: datetime
    finished_at: datetime
    detail: str | None
    executor: str | None
    together: int | None
    status_code: int | None
    fault: str | None
    answer: str | None
    by: str | None
    reason: str | None


@dataclass(frozen=True)
class SagaHistory:
    """A saga and all that happened to it, in order."""

    saga: StoredSaga
    entries: Sequence[TimelineEntry]


_SAGAS = prepared(f"SELECT {StoredSaga.columns()} FROM sagas WHERE saga_id = ANY (CAST(:ids AS uuid[]))")  # noqa: S608  (our own)
_WITH_TIMES = prepared(f"""
    SELECT {StoredSaga.columns()}, times.steps, times.first, times.last
    FROM sagas CROSS JOIN LATERAL (
        SELECT array_agg(step) AS steps, array_agg(first) AS first, array_agg(last) AS last
        FROM (
            SELECT step, min(started_at) AS first, max(finished_at) AS last FROM timeline
            WHERE timeline.saga_id = sagas.saga_id AND direction = 'action'
            GROUP BY step
        ) AS actions
    ) AS times
    WHERE saga_id = ANY (CAST(:ids AS uuid[]))
""")  # noqa: S608  (our own)

# What operators requested, in sagas of any status.
OPERATIONS = (
    select(
        timeline.c.id,
        timeline.c.started_at.label("at"),
        timeline.c.kind,
        timeline.c.by,
        timeline.c.reason,
        timeline.c.saga_id,
        timeline.c.detail,
    )
    .where(timeline.c.by.is_not(None))
    .subquery()
)


def find(connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, StoredSaga]:
    """Return these sagas by id, without those that do not exist."""
    rows = connection.execute(_SAGAS, {"ids": list(saga_ids)}).mappings()
    return {row["saga_id"]: StoredSaga(**row) for row in rows}


def find_with_times(connection: Connection, saga_ids: Sequence[UUID]) -> dict[UUID, SagaWithTimes]:
    """Return these sagas with the times of their steps, by id, without those that do not exist."""
    rows = connection.execute(_WITH_TIMES, {"ids": list(saga_ids)}).mappings()
    return {row["saga_id"]: SagaWithTimes(StoredSaga.of(row), _times_of(row)) for row in rows}


def _times_of(row: Row) -> StepTimes:
    steps = row["steps"] or ()  # null before the first request
    return {step: (row["first"][number], row["last"][number]) for number, step in enumerate(steps)}


def timeline_of(connection: Connection, saga_id: UUID) -> list[TimelineEntry]:
    """Return all that happened to a saga, in order."""
    statement = select(timeline).where(timeline.c.saga_id == saga_id).order_by(timeline.c.started_at, timeline.c.id)
    return [TimelineEntry(**row) for row in connection.execute(statement).mappings()]
