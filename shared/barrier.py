"""The barrier: each step of a saga acts once and is undone once, whatever is repeated, late or out of order.

A row for each (saga, step, direction), written in the transaction of the effect with `ON CONFLICT DO NOTHING`,
absorbs duplicates, compensations that come before their action (null rollback) and actions that come after
their compensation (suspension). The idea and the two terms are those of the sub-transaction barrier of DTM.

Rows are purged by the age of their saga. Of a saga that is so old that rows of it may be gone, no row is written any
more, and what is not known already is refused (`TooOld`): nothing late is taken for a first request.

All take many sagas at once, and write their rows in the order of the sagas' ids, so that no two wait for each other.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from itertools import product
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from shared.errors import Conflict, DomainError, RepeatedRefusal
from shared.json_codec import dumps
from shared.prepared import prepared
from shared.retention import TooOld, retention_of, too_old_sql
from shared.web import problem_of

ACTION, COMPENSATION = "action", "compensation"


class Suspended(Conflict):
    """The step was already compensated."""


class Entry(Enum):
    """What an action finds that was not refused."""

    FIRST = "nobody asked for it before"
    REPEATED = "it was done before"


class Undo(Enum):
    """What a compensation finds."""

    FIRST = "the action ran (or was refused) and was not undone yet"
    NULL = "the action never came; from now on it is refused"
    REPEATED = "it was undone before"


_WRITTEN = {Undo.FIRST: [COMPENSATION], Undo.NULL: [ACTION, COMPENSATION], Undo.REPEATED: []}


class Barrier:
    """The barrier of one participant, over its own table."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "barrier",
            metadata,
            Column("saga_id", Uuid, primary_key=True),
            Column("step", String(40), primary_key=True),
            Column("direction", String(12), primary_key=True),
            Column("refusal", JSON),
            Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        name = self.table.fullname
        self._insert = prepared(
            f"INSERT INTO {name} (saga_id, step, direction) SELECT saga_id, :step, direction"  # noqa: S608  (our own)
            " FROM unnest(:saga_ids, CAST(:directions AS text[])) AS asked (saga_id, direction)"
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

    def enter(self, uow: Connection, step: str, saga_ids: Sequence[UUID]) -> dict[UUID, Entry | DomainError]:
        """For each saga whether the step is asked for the first time; a duplicate waits for the first to end.

        `Suspended` when the step was compensated, and the refusal that it got before, if it got one. Raises `TooOld`.
        """
        first = self._write(uow, step, saga_ids, [ACTION])
        before = [saga_id for saga_id in saga_ids if saga_id not in first]
        found = self._found(uow, step, before) if before else {}
        _check_known(step, before, found)
        return {saga_id: Entry.FIRST if saga_id in first else found[saga_id] for saga_id in saga_ids}

    def enter_undo(self, uow: Connection, step: str, saga_ids: Sequence[UUID]) -> dict[UUID, Undo]:
        """For each saga what there is to undo; after this the step's action is refused for ever. Raises `TooOld`."""
        written = self._write(uow, step, saga_ids, [ACTION, COMPENSATION])
        undos = {saga_id: _undo(written.get(saga_id, set())) for saga_id in saga_ids}
        repeated = [saga_id for saga_id, undo in undos.items() if undo is Undo.REPEATED]
        if repeated:
            _check_known(step, repeated, self._compensated(uow, step, repeated))
        return undos

    def refuse(self, uow: Connection, step: str, refusals: Mapping[UUID, DomainError]) -> None:
        """Keep these refusals of a step that was entered, to be given again word for word."""
        if refusals:
            problems = [dumps(problem_of(error)) for error in refusals.values()]
            uow.execute(self._refuse, {"step": step, "saga_ids": list(refusals), "problems": problems})

    def withdraw(self, uow: Connection, step: str, undos: Mapping[UUID, Undo]) -> None:
        """Take back what `enter_undo` wrote in this transaction: these compensations were asked for by mistake."""
        rows = [(saga_id, direction) for saga_id, undo in undos.items() for direction in _WRITTEN[undo]]
        if rows:
            asked = {"saga_ids": [row[0] for row in rows], "directions": [row[1] for row in rows]}
            uow.execute(self._withdraw, {"step": step, **asked})

    def _write(
        self, uow: Connection, step: str, saga_ids: Collection[UUID], directions: Sequence[str]
    ) -> dict[UUID, set[str]]:
        """The directions that were written, by saga; rows that were there, or are being written, stay as they are."""
        rows = list(product(sorted(saga_ids), directions))
        asked: dict[str, object] = {"saga_ids": [row[0] for row in rows], "directions": [row[1] for row in rows]}
        asked["kept_seconds"] = retention_of(uow).steps
        written = defaultdict[UUID, set[str]](set)
        for saga_id, direction in uow.execute(self._insert, {"step": step, **asked}):
            written[saga_id].add(direction)
        return written

    def _compensated(self, uow: Connection, step: str, saga_ids: Sequence[UUID]) -> set[UUID]:
        entries = self.table.c
        statement = (
            select(entries.saga_id)
            .where(entries.saga_id == func.any(bindparam("saga_ids", saga_ids, ARRAY(Uuid))))
            .where(entries.step == step, entries.direction == COMPENSATION)
        )
        return set(uow.scalars(statement))

    def _found(self, uow: Connection, step: str, saga_ids: Sequence[UUID]) -> dict[UUID, Entry | DomainError]:
        """What the rows that were there before say."""
        entries = self.table.c
        statement = (
            select(entries.saga_id, entries.direction, entries.refusal)
            .where(entries.saga_id == func.any(bindparam("saga_ids", saga_ids, ARRAY(Uuid))), entries.step == step)
            .order_by(entries.direction)
        )
        found: dict[UUID, Entry | DomainError] = {}
        for saga_id, direction, refusal in uow.execute(statement):  # a saga's compensation after its action
            found[saga_id] = _entry(saga_id, step, direction, refusal)
        return found


def _check_known(step: str, not_written: Collection[UUID], known: Collection[UUID]) -> None:
    """What was not written was there before, unless its saga is too old."""
    too_old = sorted(set(not_written) - set(known))
    if too_old:
        named = ", ".join(map(str, too_old))
        raise TooOld(f"too old to tell whether {step} came before: saga {named}", step=step, saga_ids=too_old)


def _entry(saga_id: UUID, step: str, direction: str, refusal: dict[str, Any] | None) -> Entry | DomainError:
    if direction == COMPENSATION:
        return Suspended(f"{step} of saga {saga_id} was compensated", saga_id=saga_id, step=step)
    return Entry.REPEATED if refusal is None else RepeatedRefusal(refusal)


def _undo(written: set[str]) -> Undo:
    if COMPENSATION not in written:
        return Undo.REPEATED
    return Undo.NULL if ACTION in written else Undo.FIRST
