"""Pages of sagas, newest first, by any filters; the rows that one request reads are bounded."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, select

from shared.saga.port import ListedSagas
from shared.saga.views import ListQuery, SagasOut

# The most selective filter comes first: its index is read, and the other filters are checked on the rows found. Each
# filter has an index that ends with the saga's id.
BY_SELECTIVITY = ("saga_id", "order_id", "cart_id", "retrying", "failed_step", "user_id", "status", "payment_method")
# The most rows of the first filter that one request checks against the others; this takes some ten milliseconds.
MOST_TRIED = 5000


def page_of(connection: Connection, sagas: ListedSagas, query: ListQuery) -> SagasOut:
    """Return up to `limit` sagas that pass every filter, older than the cursor."""
    first, others = _filters(query)
    newest = _newest(sagas.tables.sagas, first, query.cursor)
    wanted = newest
    if others:
        tried = newest.limit(MOST_TRIED).subquery()
        wanted = select(tried).where(_all_of(tried, others)).order_by(tried.c.saga_id.desc())
    rows = connection.execute(wanted.limit(query.limit)).mappings().all()
    items = [sagas.summary(row) for row in rows]
    if len(items) == query.limit:
        return SagasOut(items=items, next_cursor=items[-1].saga_id)
    return SagasOut(items=items, next_cursor=_last_tried(connection, newest) if others else None)


def _filters(query: ListQuery) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the filter whose index is read, and the others; `retrying=false` has no index: nearly all sagas match."""
    given = {name: value for name in BY_SELECTIVITY if (value := getattr(query, name)) not in (None, [])}
    name = next((name for name, value in given.items() if value is not False), None)
    first = {} if name is None else {name: given.pop(name)}
    return first, given


def _newest(sagas: Table, first: dict[str, Any], before: UUID | None) -> Select[Any]:
    statement = select(sagas).where(_all_of(sagas, first)).order_by(sagas.c.saga_id.desc())
    return statement if before is None else statement.where(sagas.c.saga_id < before)


def _all_of(table: Any, filters: dict[str, Any]) -> ColumnElement[bool]:
    return and_(True, *(_passes(table.c[name], value) for name, value in filters.items()))


def _passes(column: ColumnElement[Any], value: object) -> ColumnElement[bool]:
    if isinstance(value, bool):
        return column if value else ~column
    if isinstance(value, list):
        return column.in_(value)
    return column == value


def _last_tried(connection: Connection, newest: Select[Any]) -> UUID | None:
    """Return the last saga that was checked, where the next page begins; None when there are no more."""
    ids = newest.with_only_columns(newest.selected_columns.saga_id)
    return connection.scalar(ids.offset(MOST_TRIED - 1).limit(1))
