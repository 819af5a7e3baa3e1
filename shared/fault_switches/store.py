"""Fault switches and counts in a service's schema, so that all of its processes see the same.

One conditional write decides whether a fault happens, so concurrent requests get it at most `times` times.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.database.connections import Row
from shared.database.listen import notify
from shared.fault_switches.model import Fault, FaultName, KillPoint
from shared.json_codec import dumps

FaultKey = tuple[UUID, str, str]  # saga, step, name of the fault
SHOWN = 100  # of the faults that happened: the latest

_FIRE = """
INSERT INTO {table} (saga_id, step, name, times)
SELECT saga_id, step, name, times
  FROM unnest(:saga_ids, CAST(:steps AS text[]), CAST(:names AS text[]), CAST(:times AS integer[]))
       AS due (saga_id, step, name, times)
ON CONFLICT (saga_id, step, name) DO UPDATE SET fired = {table}.fired + 1, fired_at = now(), times = excluded.times
 WHERE excluded.times IS NULL OR {table}.fired < excluded.times
RETURNING saga_id, step, name
"""
# A step that was done or refused before keeps its row, and so its answer.
_REFUSE = """
INSERT INTO {barrier} (saga_id, step, direction, refusal)
SELECT saga_id, step, 'action', refusal
  FROM unnest(:saga_ids, CAST(:steps AS text[]), CAST(:refusals AS json[])) AS refused (saga_id, step, refusal)
ON CONFLICT DO NOTHING RETURNING saga_id, step
"""


class FaultStore:
    """One service's tables of switches and counts."""

    def __init__(self, metadata: MetaData) -> None:
        self._channel = f"{metadata.schema}_outbox"  # the channel on which the service's workers listen
        self.switches = Table(
            "fault_switches",
            metadata,
            Column("name", String(20), primary_key=True),
            Column("step", String(40), nullable=False),
            Column("times", Integer),
            Column("milliseconds", Integer),
            Column("point", String(10)),
            Column("match", JSON, nullable=False),
            Column("set_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        self.firings = Table(
            "fault_firings",
            metadata,
            Column("saga_id", Uuid, primary_key=True),
            Column("step", String(40), primary_key=True),
            Column("name", String(20), primary_key=True),
            Column("fired", Integer, nullable=False, server_default=text("1")),
            Column("times", Integer),
            Column("fired_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        ids = bindparam("saga_ids", type_=ARRAY(Uuid))
        self._fire = text(_FIRE.format(table=self.firings.fullname)).bindparams(ids)
        self._refuse = text(_REFUSE.format(barrier=f"{metadata.schema}.barrier")).bindparams(ids)

    def put(self, connection: Connection, fault: Fault) -> None:
        """Switch a fault on; it replaces another one with its name."""
        values = {**vars(fault), "name": fault.name.value, "match": dict(fault.match)}
        statement = upsert(self.switches).values(values)
        again = {**values, "set_at": func.now()}
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=again))
        notify(connection, self._channel)

    def lift(self, connection: Connection, names: Collection[FaultName]) -> None:
        """Switch these off; counts stay."""
        connection.execute(delete(self.switches).where(self.switches.c.name.in_(names)))
        notify(connection, self._channel)

    def switched_on(self, connection: Connection) -> list[Fault]:
        """Return the switched-on faults, by name."""
        return [
            _fault(row) for row in connection.execute(select(self.switches).order_by(self.switches.c.name)).mappings()
        ]

    def fired(self, connection: Connection, saga_id: UUID | None) -> Sequence[Row]:
        """Return the latest faults that happened, newest first; those of one saga, if one is named."""
        fired = self.firings
        statement = select(fired).order_by(fired.c.fired_at.desc()).limit(SHOWN)
        if saga_id is not None:
            statement = statement.where(fired.c.saga_id == saga_id)
        return connection.execute(statement).mappings().all()

    def counted(self, connection: Connection, saga_ids: Collection[UUID]) -> Mapping[FaultKey, int]:
        """Count how often each fault has happened to these sagas."""
        fired = self.firings.c
        statement = select(fired.saga_id, fired.step, fired.name, fired.fired)
        rows = connection.execute(statement.where(fired.saga_id.in_(saga_ids)))
        return {(saga_id, step, name): count for saga_id, step, name, count in rows}

    def fire(self, connection: Connection, due: Iterable[tuple[UUID, Fault]]) -> set[FaultKey]:
        """Count these faults, as far as their `times` allow; return those that happen."""
        return self.count(connection, {(saga_id, fault.step, fault.name.value): fault.times for saga_id, fault in due})

    def count(self, connection: Connection, times: Mapping[FaultKey, int | None]) -> set[FaultKey]:
        """Count each of these once more, up to its limit; return those that were counted."""
        keys = sorted(times)  # locked in one order
        if not keys:
            return set()
        columns = {"saga_ids": [key[0] for key in keys], "steps": [key[1] for key in keys]}
        rows = connection.execute(
            self._fire, {**columns, "names": [key[2] for key in keys], "times": [times[key] for key in keys]}
        )
        return {(saga_id, step, name) for saga_id, step, name in rows}

    def refuse(self, connection: Connection, refusals: Mapping[tuple[UUID, str], Mapping[str, Any]]) -> set[FaultKey]:
        """Store these refusals of steps, unless the step was done before; return those that were stored."""
        keys = sorted(refusals)
        if not keys:
            return set()
        problems = [dumps(refusals[key]) for key in keys]
        columns = {"saga_ids": [key[0] for key in keys], "steps": [key[1] for key in keys]}
        rows = connection.execute(self._refuse, {**columns, "refusals": problems})
        return {(saga_id, step, FaultName.REFUSE.value) for saga_id, step in rows}


def _fault(row: Row) -> Fault:
    point = row["point"]
    return Fault(
        row["step"],
        FaultName(row["name"]),
        row["times"],
        row["milliseconds"],
        None if point is None else KillPoint(point),
        row["match"],
    )
