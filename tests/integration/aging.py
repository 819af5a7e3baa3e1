"""Rows of any table and any age, and ids made at any time."""

import secrets
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Connection, Table, Uuid, func, insert, select

from shared.ids import new_id
from shared.purging.purge import Purge
from shared.purging.retention import MESSAGE_DAYS

DAY = 86400.0
SAGA_DAYS, STEP_DAYS = 90.0, 180.0  # the defaults
UNDOABLE_DAYS = STEP_DAYS - MESSAGE_DAYS
# Values that make a row purgeable, in addition to its age, where the tables' defaults differ.
ENDED: dict[str, dict[str, Any]] = {
    "saga_orchestrator.sagas": {
        "status": "completed",
        "due_at": None,
        "data": {"cart_id": str(UUID(int=0)), "user_id": "ana", "payment_method": "paypal"},
        "ids": {"order_id": str(UUID(int=0))},
    },
    "saga_choreography.sagas": {"status": "completed", "due_at": None},
}


def id_made(at: datetime) -> UUID:
    """Make a UUIDv7 of this time."""
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62))


def id_of_age(days: float) -> UUID:
    """Make a UUIDv7 that is so many days old."""
    return id_made(datetime.now(UTC) - timedelta(days=days))


def purges(service: str) -> tuple[Purge, ...]:
    """Return what a service purges."""
    declared: tuple[Purge, ...] = import_module(f"{service}.purges").PURGES
    return declared


def add_row(connection: Connection, purge: Purge, seconds: float, **values: Any) -> Any:
    """Insert a purgeable row of this age by the transaction's clock, with the greatest values; return its age."""
    said = {**row_of_age(time_of(connection), purge, seconds), **values}
    connection.execute(insert(purge.table).values(said))
    for column in purge.parts:
        assert isinstance(column.table, Table)
        part = {**_any_row(column.table), column.name: said[purge.key.name]}
        connection.execute(insert(column.table).values(part))
    return said[purge.age.name]


def time_of(connection: Connection) -> datetime:
    """Return the transaction's clock, which does not advance within it."""
    now: datetime | None = connection.scalar(select(func.now()))
    assert now is not None
    return now


def row_of_age(now: datetime, purge: Purge, seconds: float) -> dict[str, Any]:
    """Return the values of a purgeable row of this age, at this time, without inserting it."""
    at = now - timedelta(seconds=seconds)
    age = id_made(at) if isinstance(purge.age.type, Uuid) else at
    since = {} if purge.since is None else {purge.since.name: at}
    return {**_any_row(purge.table), **ENDED.get(purge.table.fullname, {}), purge.age.name: age, **since}


def _any_row(table: Table) -> dict[str, Any]:
    return {column.name: _anything(column) for column in table.columns if _must_be_said(column)}


def ages(connection: Connection, purge: Purge) -> list[Any]:
    """Return the age columns of the rows that are left."""
    return list(connection.scalars(select(purge.age).order_by(purge.age)))


def count(connection: Connection, table: Table) -> int:
    """Count the rows."""
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _must_be_said(column: Column[Any]) -> bool:
    return not column.nullable and column.server_default is None


def _anything(column: Column[Any]) -> Any:
    if isinstance(column.type, Uuid):
        return new_id()
    if isinstance(column.type, JSON):
        return {}
    kinds = {str: f"any {secrets.token_hex(4)}"[: getattr(column.type, "length", None)], int: 1}
    return kinds.get(column.type.python_type, datetime.now(UTC))
