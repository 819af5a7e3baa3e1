"""What the audits of all services are made of."""

from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by


def count_by(uow: Connection, column: Column[str]) -> dict[str, int]:
    """How many rows there are for each value of a column."""
    return {row[0]: row[1] for row in uow.execute(select(column, func.count()).group_by(column))}


def digest(uow: Connection, saga_id: Column[UUID], condition: ColumnElement[bool]) -> dict[str, Any]:
    """How many sagas these are, and an MD5 of their ids in order: two services compare sets by it, not only sizes."""
    text = cast(saga_id, Text)
    ids = func.string_agg(text, aggregate_order_by(literal(","), text))
    row = uow.execute(select(func.count(), func.md5(func.coalesce(ids, ""))).where(condition)).one()
    return {"count": row[0], "md5": row[1]}
