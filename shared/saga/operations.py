"""Operators' actions on sagas: who did what, when and why."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection, Subquery, select

from shared.database.connections import Row
from shared.http.schemas import Body, Time, View


class OperationsQuery(Body):
    """Which page."""

    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class OperationOut(View):
    """A request of an operator.

    `kind` is as in a saga's timeline: `compensation_requested` or `retry_requested`; or `redriven`, of dead letters,
    which names no saga and says in `detail` how many they were.
    """

    id: UUID
    at: Time
    kind: str
    by: str
    reason: str | None
    saga_id: UUID | None
    detail: str | None


class OperationsOut(View):
    """A page of what was done, the latest first; `next_cursor` is null on the last one."""

    items: list[OperationOut]
    next_cursor: UUID | None


def page_of(connection: Connection, operations: Subquery, query: OperationsQuery) -> OperationsOut:
    """Return the latest operations before the cursor; `operations` has the columns of `OperationOut`, ids by time."""
    statement = select(operations).order_by(operations.c.id.desc()).limit(query.limit)
    if query.cursor is not None:
        statement = statement.where(operations.c.id < query.cursor)
    rows: Sequence[Row] = connection.execute(statement).mappings().all()
    items = [OperationOut(**dict(row)) for row in rows]
    return OperationsOut(items=items, next_cursor=items[-1].id if len(items) == query.limit else None)
