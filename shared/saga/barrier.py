"""The barrier: each step of a saga acts once and is compensated once, whatever is repeated, late or out of order.

A row for each (saga, step, direction), written in the transaction of the effect with `ON CONFLICT DO NOTHING`,
absorbs duplicates, compensations that come before their action (null rollback) and actions that come after
their compensation (suspension). The idea and the two terms are those of the sub-transaction barrier of DTM.

Rows are purged by the age of their saga. Of a saga that is so old that rows of it may be gone, no row is written any
more, and what is not known already is refused (`TooOld`): nothing late is taken for a first request.

The row keeps the request's fields. A repetition that names another value for one of them is no repetition: it is
refused, and leaves no trace. A field that one of the two does not name is not compared.

All take many sagas at once, and write their rows in the order of the sagas' ids, so that no two wait for each other.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from shared.database.prepared import prepared
from shared.errors import Conflict, DomainError, RepeatedRefusal
from shared.http.answers import problem_of
from shared.json_codec import dumps, loads
from shared.purging.retention import TooOld, retention_of, too_old_sql
from shared.saga.repetition import RepeatedOtherwise, Request, contradiction

ACTION, COMPENSATION = "action", "compensation"


class Suspended(Conflict):
    """The step was already compensated."""


class ActionEntry(Enum):
    """What `enter_action` finds for an action that is not refused."""

    FIRST = "it was never requested before"
    REPEATED = "it was done before"


class CompensationEntry(Enum):
    """What `enter_compensation` finds for a compensation that is not refused."""

    FIRST = "the action ran, or was refused, and was not compensated yet"
    NULL = "the action never came; from now on it is refused"
    REPEATED = "it was compensated before"


_WRITTEN = {
    CompensationEntry.FIRST: [COMPENSATION],
    CompensationEntry.NULL: [ACTION, COMPENSATION],
    CompensationEntry.REPEATED: [],
}


class Barrier:
    """The barrier of one participant, over its own table."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "barrier",
            metadata,
            Column("saga_id", Uuid, primary_key=True),
            Column("step", String(40), primary_key=True),
            Column("direction", String(12), primary_key=True),
            Column("request", JSON(none_as_null=True)),
            Column("refusal", JSON),
            Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        name = self.table.fullname
        self._insert = prepared(
            f"INSERT INTO {name} (saga_id, step, direction, request)"  # noqa: S608  (our own)
            " SELECT saga_id, :step, direction, request"
            " FROM unnest(:saga_ids, CAST(:directions AS text[]), CAST(:requests AS json[]))"
            " AS entry (saga_id, direction, request)"
            f" WHERE NOT {too_old_sql('saga_id', ':kept_seconds')}"
            " ON CONFLICT DO NOTHING RETURNING saga_id, direction"
        ).bindparams(bindparam("saga_ids", type_=ARRAY(Uuid)))
        self._refuse = prepared(
            f"UPDATE {name} AS entry SET refusal = refused.problem"  # noqa: S608  (our own)
            " FROM unnest(:saga_ids, CAST(:problems AS json[])) AS refused (saga_id, problem)"
            " WHERE entry.saga_id = refused.saga_id AND step = :step AND direction = 'action'"
        ).bindparams(bindparam("saga_ids", type_=ARRAY(Uuid)))
        self._withdraw = prepared(
            f"DELETE FROM {name} AS entry"  # noqa: S608  (our own)
            " USING unnest(:saga_ids, CAST(:directions AS text[])) AS written (saga_id, direction)"
            " WHERE entry.saga_id = written.saga_id AND step = :step AND entry.direction = written.direction"
        ).bindparams(bindparam("saga_ids", type_=ARRAY(Uuid)))

    def enter_action(
        self, connection: Connection, step: str, requests: Mapping[UUID, Request]
    ) -> dict[UUID, ActionEntry | DomainError]:
        """For each saga whether the step is requested for the first time; a duplicate waits for the first to end.

        `Suspended` when the step was compensated, `RepeatedOtherwise` for a request that differs from the first, and
        the refusal that the first got, if it got one. Raises `TooOld`.
        """
        first = self._write(connection, step, {(saga_id, ACTION): request for saga_id, request in requests.items()})
        before = {saga_id: request for saga_id, request in requests.items() if saga_id not in first}
        found = self._known(connection, step, before)
        _check_known(step, before, found)
        return {
            saga_id: ActionEntry.FIRST if saga_id in first else _action_entry(found[saga_id]) for saga_id in requests
        }

    def enter_compensation(
        self, connection: Connection, step: str, requests: Mapping[UUID, Request]
    ) -> dict[UUID, CompensationEntry | DomainError]:
        """For each saga what there is to compensate; from then on the step's action is refused. Raises `TooOld`.

        `RepeatedOtherwise`, without a trace, for a compensation that differs from the action or from an earlier one.
        """
        rows: dict[tuple[UUID, str], Request | None] = {}
        for saga_id, request in requests.items():
            rows |= {(saga_id, ACTION): None, (saga_id, COMPENSATION): request}
        written = self._write(connection, step, rows)
        entries: dict[UUID, CompensationEntry | DomainError] = {
            saga_id: _compensation_entry(written.get(saga_id, set())) for saga_id in requests
        }
        repeated = [saga_id for saga_id, entry in entries.items() if entry is CompensationEntry.REPEATED]
        named = [
            saga_id
            for saga_id, entry in entries.items()
            if entry is CompensationEntry.FIRST and any(requests[saga_id].values())
        ]
        known = self._known(connection, step, {saga_id: requests[saga_id] for saga_id in (*repeated, *named)})
        _check_known(step, repeated, {saga_id for saga_id, entry in known.items() if entry.compensated})
        wrong = {saga_id: entry.wrong for saga_id, entry in known.items() if entry.wrong is not None}
        self.withdraw(connection, step, {each: entry for each, entry in entries.items() if each in wrong})
        return entries | wrong

    def contradictions(
        self, connection: Connection, step: str, requests: Mapping[UUID, Request]
    ) -> dict[UUID, DomainError]:
        """`RepeatedOtherwise` for each saga whose step, or its compensation, was requested with another field."""
        found = self._known(connection, step, requests)
        return {saga_id: known.wrong for saga_id, known in found.items() if known.wrong is not None}

    def closed(self, connection: Connection, step: str, saga_id: UUID) -> bool:
        """Whether the step was compensated, or refused: it has no effect, and never will have one."""
        entries = self.table.c
        over = (entries.direction == COMPENSATION) | entries.refusal.is_not(None)
        statement = select(entries.saga_id).where(entries.saga_id == saga_id, entries.step == step, over).limit(1)
        return connection.scalar(statement) is not None

    def refuse(self, connection: Connection, step: str, refusals: Mapping[UUID, DomainError]) -> None:
        """Keep these refusals of a step that was entered, to be given again word for word."""
        if refusals:
            problems = [dumps(problem_of(error)) for error in refusals.values()]
            connection.execute(self._refuse, {"step": step, "saga_ids": list(refusals), "problems": problems})

    def withdraw(
        self, connection: Connection, step: str, entries: Mapping[UUID, CompensationEntry | DomainError]
    ) -> None:
        """Delete what `enter_compensation` wrote in this transaction, for compensations that are refused."""
        rows = [
            (saga_id, direction)
            for saga_id, entry in entries.items()
            if isinstance(entry, CompensationEntry)
            for direction in _WRITTEN[entry]
        ]
        if rows:
            keys = {"saga_ids": [row[0] for row in rows], "directions": [row[1] for row in rows]}
            connection.execute(self._withdraw, {"step": step, **keys})

    def _write(
        self, connection: Connection, step: str, rows: Mapping[tuple[UUID, str], Request | None]
    ) -> dict[UUID, set[str]]:
        """The directions that were written, by saga; rows that were there, or are being written, stay as they are."""
        keys = sorted(rows)
        values = {
            "saga_ids": [saga_id for saga_id, _ in keys],
            "directions": [direction for _, direction in keys],
            "kept_seconds": retention_of(connection).steps,
            "requests": [dumps(rows[key]) if rows[key] else None for key in keys],
        }
        written = defaultdict[UUID, set[str]](set)
        for saga_id, direction in connection.execute(self._insert, {"step": step, **values}):
            written[saga_id].add(direction)
        return written

    def _known(self, connection: Connection, step: str, requests: Mapping[UUID, Request]) -> dict[UUID, "_Known"]:
        """What the rows say of these sagas that were there before, beside what is requested now."""
        if not requests:
            return {}
        entries = self.table.c
        statement = (
            select(entries.saga_id, entries.direction, entries.request, entries.refusal)
            .where(entries.saga_id == func.any(bindparam("saga_ids", list(requests), ARRAY(Uuid))))
            .where(entries.step == step)
        )
        found: dict[UUID, _Known] = {}
        for saga_id, direction, request, refusal in connection.execute(statement):
            known = found.setdefault(saga_id, _Known(saga_id, step))
            known.compensated = known.compensated or direction == COMPENSATION
            known.refusal = refusal or known.refusal
            repeated = loads(dumps(requests[saga_id]))
            known.wrong = known.wrong or contradiction(saga_id, step, request or {}, repeated)
        return found


def _check_known(step: str, not_written: Collection[UUID], known: Collection[UUID]) -> None:
    """What was not written was there before, unless its saga is too old."""
    too_old = sorted(set(not_written) - set(known))
    if too_old:
        named = ", ".join(map(str, too_old))
        raise TooOld(f"too old to tell whether {step} came before: saga {named}", step=step, saga_ids=too_old)


@dataclass
class _Known:
    """What a step's rows say of one saga."""

    saga_id: UUID
    step: str
    compensated: bool = False
    refusal: Request | None = None
    wrong: RepeatedOtherwise | None = None  # with what is requested now


def _action_entry(known: _Known) -> ActionEntry | DomainError:
    if known.compensated:
        return Suspended(
            f"{known.step} of saga {known.saga_id} was compensated", saga_id=known.saga_id, step=known.step
        )
    return known.wrong or (ActionEntry.REPEATED if known.refusal is None else RepeatedRefusal(known.refusal))


def _compensation_entry(written: set[str]) -> CompensationEntry:
    if COMPENSATION not in written:
        return CompensationEntry.REPEATED
    return CompensationEntry.NULL if ACTION in written else CompensationEntry.FIRST
