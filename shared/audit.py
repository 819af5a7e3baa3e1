"""What the audits of all services are made of."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import BIT


def count_by(uow: Connection, column: Column[str]) -> dict[str, int]:
    """How many rows there are for each value of a column."""
    return {row[0]: row[1] for row in uow.execute(select(column, func.count()).group_by(column))}


def digest(uow: Connection, saga_id: Column[UUID], condition: ColumnElement[bool]) -> dict[str, Any]:
    """How many sagas these are, and the sum of 64 bits of each id's MD5, as text since JSON's numbers are shorter.

    Services compare sets by it, not only sizes. Both figures of disjoint sets add up to those of their union.
    """
    bits = cast(literal("x").concat(func.left(func.md5(cast(saga_id, Text)), 16)), BIT(64))
    total = func.coalesce(func.sum(cast(bits, BigInteger)), 0)
    row = uow.execute(select(func.count(), cast(total, Text)).where(condition)).one()
    return {"count": row[0], "sum": row[1]}
