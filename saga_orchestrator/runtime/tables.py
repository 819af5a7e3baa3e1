"""The tables of the runtime."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.types import BigInteger, TypeEngine

from saga_orchestrator.runtime.leases import BUILTIN
from shared.saga.tables import THIS_TRANSACTION


def found_by(name: str, kind: TypeEngine[Any], path: str) -> Column[Any]:
    """Define a column that PostgreSQL computes from a saga's `data` or `ids`, so that sagas are found by it.

    `path` is an expression as PostgreSQL prints it, since a test compares the two: `(data ->> 'user_id'::text)`.
    """
    return Column(name, kind, Computed(path, persisted=True), nullable=False)


def sagas_table(metadata: MetaData, searched: Iterable[Column[Any]], indexes: Iterable[Index]) -> Table:
    """Define the table of sagas, one row for each.

    `due_at` is when an executor may next claim the saga: at once when it is new, after the back-off when it waits, at
    the end of the lease when it is leased; null when it has ended. `fencing_token` counts the leases, and `owner`
    identifies the claim; a write with other values changes no row, nor does one with an older `revision` under the
    claim. `executor_id` identifies the lock that shows that the executor lives. `retrying`, `failed_step` and
    `first_effect_at` follow from the state. `engine` names what runs the saga until it ends: executors (`BUILTIN`), or
    another engine.
    """
    return Table(
        "sagas",
        metadata,
        Column("saga_id", Uuid, primary_key=True),
        Column("version", Integer, nullable=False),  # of the definition; fixed when the saga begins
        Column("data", JSON, nullable=False),  # what the saga is about
        Column("ids", JSON, nullable=False),  # chosen for its steps
        Column("fault", String(200)),  # the faults to inject
        Column("trace", String(55)),  # the context of the span in which it was accepted
        *searched,
        Column("status", String(12), nullable=False, server_default="pending"),
        Column("state", JSON, nullable=False),
        Column("fencing_token", Integer, nullable=False, server_default=text("0")),
        Column("owner", String(64)),
        Column("executor_id", Integer),
        Column("revision", Integer, nullable=False, server_default=text("0")),
        Column("engine", String(12), nullable=False, server_default=text(f"'{BUILTIN}'")),
        Column("retrying", Boolean, nullable=False, server_default=false()),
        Column("failed_step", String(40)),
        Column("first_effect_at", DateTime(timezone=True)),
        Column("changed", BigInteger, nullable=False, server_default=text(THIS_TRANSACTION)),  # `saga/changes.py`
        Column("due_at", DateTime(timezone=True), server_default=func.now()),
        Column("deadline_at", DateTime(timezone=True), nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("ended_at", DateTime(timezone=True)),
        CheckConstraint(
            "(status IN ('completed', 'compensated')) = (due_at IS NULL)",
            name="never_forgotten",  # an accepted saga is due at some time until it has ended
        ),
        Index("ix_sagas_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_sagas_handover", "engine", "due_at", postgresql_where=text("owner IS NULL AND due_at IS NOT NULL")),
        Index("ix_sagas_executor", "executor_id", postgresql_where=text("executor_id IS NOT NULL")),
        Index("ix_sagas_status", "status", "saga_id"),
        Index("ix_sagas_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index("ix_sagas_retrying", "saga_id", postgresql_where=text("retrying")),
        Index("ix_sagas_failed", "failed_step", "saga_id", postgresql_where=text("failed_step IS NOT NULL")),
        *indexes,
    )


def timeline_table(metadata: MetaData) -> Table:
    """Define the table of what happened to each saga. The writer makes the ids, so that a repeated write adds nothing.

    The columns from `together` to `answer` describe one request of an attempt; `by` and `reason` are an operator's.
    """
    return Table(
        "timeline",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("saga_id", Uuid, ForeignKey(f"{metadata.schema}.sagas.saga_id"), nullable=False, index=True),
        Column("kind", String(24), nullable=False),
        Column("step", String(40)),
        Column("direction", String(12)),
        Column("attempt", Integer),
        Column("outcome", String(10)),
        Column("started_at", DateTime(timezone=True), nullable=False),
        Column("finished_at", DateTime(timezone=True), nullable=False),
        Column("detail", Text),
        Column("executor", String(64)),
        Column("together", Integer),  # the number of commands in the request
        Column("status_code", Integer),
        Column("fault", String(200)),  # the injected faults that the answer reports
        Column("answer", Text),  # the body of an answer that is no success, as JSON
        Column("by", String(200)),
        Column("reason", String(200)),
        Index("ix_timeline_by", "id", postgresql_where=text('"by" IS NOT NULL')),
    )
