"""The barrier: each step of a saga acts once and is undone once, whatever is repeated, late or out of order.

A row for each (saga, step, direction), written in the transaction of the effect with `ON CONFLICT DO NOTHING`,
absorbs duplicates, compensations that come before their action (null rollback) and actions that come after
their compensation (suspension). The idea and the two terms are those of the sub-transaction barrier of DTM.
"""

from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, Uuid, func, select, update
from sqlalchemy.dialects.postgresql import JSON, insert

from shared.errors import Conflict, Refusal, RepeatedRefusal
from shared.web import problem_of

ACTION, COMPENSATION = "action", "compensation"


class Suspended(Conflict):
    """The step was already compensated."""


class Undo(Enum):
    """What a compensation finds."""

    FIRST = "the action ran (or was refused) and was not undone yet"
    NULL = "the action never came; from now on it is refused"
    REPEATED = "it was undone before"


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

    def enter(self, uow: Connection, saga_id: UUID, step: str) -> bool:
        """Whether this is the first time that the step is asked for; a duplicate waits for the first to end.

        Raises `Suspended` when the step was compensated, and the refusal that it got before, if it got one.
        """
        if self._write(uow, saga_id, step, ACTION):
            return True
        rows = uow.execute(
            select(self.table.c.direction, self.table.c.refusal).where(
                self.table.c.saga_id == saga_id, self.table.c.step == step
            )
        ).all()
        if any(direction == COMPENSATION for direction, _ in rows):
            raise Suspended(f"{step} of saga {saga_id} was compensated", saga_id=saga_id, step=step)
        for _, refusal in rows:
            if refusal is not None:
                raise RepeatedRefusal(refusal)
        return False

    def enter_undo(self, uow: Connection, saga_id: UUID, step: str) -> Undo:
        """What there is to undo; after this the step's action is refused for ever."""
        written = self._write(uow, saga_id, step, ACTION, COMPENSATION)
        if COMPENSATION not in written:
            return Undo.REPEATED
        return Undo.NULL if ACTION in written else Undo.FIRST

    def refuse(self, uow: Connection, saga_id: UUID, step: str, refusal: Refusal) -> Refusal:
        """Keep the refusal beside the step, to be given again; returned so that it can be raised."""
        uow.execute(
            update(self.table)
            .where(self.table.c.saga_id == saga_id, self.table.c.step == step, self.table.c.direction == ACTION)
            .values(refusal=_plain(problem_of(refusal)))
        )
        return refusal

    def _write(self, uow: Connection, saga_id: UUID, step: str, *directions: str) -> set[str]:
        rows = [{"saga_id": saga_id, "step": step, "direction": direction} for direction in directions]
        written = insert(self.table).values(rows).on_conflict_do_nothing().returning(self.table.c.direction)
        return set(uow.scalars(written))


def _plain(problem: dict[str, Any]) -> dict[str, Any]:
    """The problem as JSON takes it: ids as strings."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in problem.items()}
