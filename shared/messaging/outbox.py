"""The transactional outbox: events to publish, written in the transaction of the change that they report.

A publisher claims rows that are due; until `due_at` they are leased to it. It marks a row as sent when the broker has
confirmed it. If the publisher dies first, the row is due again. So an event may be published twice, and is never lost.

A confirmed message may still not arrive: a queue can be purged, or lack a binding. So sent rows stay as a log until
they are purged, and can be sent again as the same events; inboxes drop the duplicates.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, Index, MetaData, String, Table, Text, Uuid, func, select, text

from shared.database.connections import Row
from shared.database.listen import notify
from shared.database.prepared import columns_of, prepared
from shared.event_bus import CONTRACT, Event
from shared.fault_switches.header import current_fault
from shared.fault_switches.model import MAX_LENGTH
from shared.json_codec import dumps

SENT = "UPDATE {table} SET sent_at = now() WHERE id = ANY(CAST(:ids AS uuid[])) AND sent_at IS NULL"
# Also marks what was confirmed since the last call as sent, which saves a separate statement.
STAGE = """
WITH confirmed AS ({sent})
INSERT INTO {table} (id, type, saga_id, payload, occurred_at, cause, trace, fault, taken_at, due_at)
SELECT id, type, saga_id, payload, occurred_at, cause, trace, fault, taken_at, now() + make_interval(secs => :seconds)
  FROM json_to_recordset(:rows) AS staged
       (id uuid, type text, saga_id uuid, payload text, occurred_at timestamptz, cause uuid, trace text, fault text,
        taken_at timestamptz)
"""
CLAIM = """
UPDATE {table} AS taken SET due_at = now() + make_interval(secs => :seconds)
  FROM (SELECT id FROM {table} WHERE due_at <= now() AND sent_at IS NULL
         ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED) AS due
 WHERE taken.id = due.id
RETURNING {columns}
"""
HAND_BACK = "UPDATE {table} SET due_at = now() WHERE id = ANY(CAST(:ids AS uuid[])) AND sent_at IS NULL"
POSTPONE = """
UPDATE {table} AS held SET due_at = now() + make_interval(secs => seconds)
  FROM unnest(CAST(:ids AS uuid[]), CAST(:seconds AS float8[])) AS postponed (id, seconds)
 WHERE held.id = postponed.id AND sent_at IS NULL
"""
SEND_AGAIN = """
UPDATE {table} AS again SET sent_at = NULL, due_at = now()
  FROM (SELECT id FROM {table}
         WHERE saga_id = ANY(CAST(:saga_ids AS uuid[])) AND sent_at IS NOT NULL AND type = ANY(CAST(:types AS text[]))
         ORDER BY id FOR UPDATE) AS sent
 WHERE again.id = sent.id
"""
NEXT = "SELECT extract(epoch FROM min(due_at) - now()) FROM {table} WHERE sent_at IS NULL"
ASYNCHRONOUS_COMMIT = "SET LOCAL synchronous_commit = off"


class Outbox:
    """One service's outbox table. Any number of processes may publish from it."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "outbox",
            metadata,
            Column("id", Uuid, primary_key=True),
            Column("type", String(64), nullable=False),
            Column("saga_id", Uuid, nullable=False),
            Column("payload", Text, nullable=False),
            Column("occurred_at", DateTime(timezone=True), nullable=False),
            Column("cause", Uuid),
            Column("trace", String(55)),
            Column("fault", String(MAX_LENGTH)),
            Column("taken_at", DateTime(timezone=True)),  # when its cause was received
            Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
            Column("sent_at", DateTime(timezone=True)),
            Index("ix_outbox_unsent", "due_at", postgresql_where=text("sent_at IS NULL")),
            Index(None, "saga_id"),
        )
        self.channel = f"{metadata.schema}_outbox"
        self._stage = prepared(STAGE.format(table=self.table.fullname, sent=SENT.format(table=self.table.fullname)))
        self._claim = prepared(CLAIM.format(table=self.table.fullname, columns=columns_of(self.table, "taken")))
        self._hand_back = prepared(HAND_BACK.format(table=self.table.fullname))
        self._postpone = prepared(POSTPONE.format(table=self.table.fullname))
        self._sent = prepared(SENT.format(table=self.table.fullname))
        self._next = prepared(NEXT.format(table=self.table.fullname))
        self._send_again = prepared(SEND_AGAIN.format(table=self.table.fullname))

    def stage(self, connection: Connection, events: Sequence[Event]) -> None:
        """Stage events; the service's worker publishes them when the transaction has committed."""
        self.stage_own(connection, events, 0)
        notify(connection, self.channel)

    def stage_own(
        self, connection: Connection, events: Sequence[Event], seconds: float, confirmed: Sequence[UUID] = ()
    ) -> None:
        """Stage events that the caller publishes itself; other publishers may claim them after `seconds`.

        Marks the `confirmed` ones as sent, in the same statement.
        """
        if not events:
            return self.sent(connection, confirmed)
        rows = dumps([_row(event) for event in events])
        connection.execute(self._stage, {"rows": rows, "seconds": seconds, "ids": sorted(map(str, confirmed))})
        return None

    def claim(self, connection: Connection, limit: int, seconds: float) -> list[Event]:
        """Claim up to `limit` due events, oldest first; after `seconds` they are due again, unless marked as sent."""
        commit_asynchronously(connection)
        rows = connection.execute(self._claim, {"limit": limit, "seconds": seconds}).mappings().all()
        return [_event(row) for row in sorted(rows, key=lambda row: row["id"])]

    def hand_back(self, connection: Connection, ids: Sequence[UUID]) -> None:
        """Return claimed events that were not published; they are due now."""
        connection.execute(self._hand_back, {"ids": sorted(map(str, ids))})

    def postpone(self, connection: Connection, seconds: Mapping[UUID, float]) -> None:
        """Make each of these events due in so many seconds."""
        connection.execute(self._postpone, {"ids": list(map(str, seconds)), "seconds": list(seconds.values())})

    def sent(self, connection: Connection, ids: Sequence[UUID]) -> None:
        """Mark these as sent: the broker has confirmed them."""
        if ids:
            connection.execute(self._sent, {"ids": sorted(map(str, ids))})

    def send_again(self, connection: Connection, saga_ids: Collection[UUID]) -> None:
        """Make all sent events of these sagas due again, as the same events, when the transaction commits.

        All of them, because the publisher can't know which event of a saga was lost on its way.
        """
        told = [name for name, entry in CONTRACT.items() if entry.is_fact]
        connection.execute(self._send_again, {"saga_ids": sorted(map(str, saga_ids)), "types": told})
        notify(connection, self.channel)

    def seconds_to_next(self, connection: Connection) -> float | None:
        """Return the seconds until an event is due (not negative); None when there is none."""
        seconds = connection.scalar(self._next)
        return None if seconds is None else max(0.0, float(seconds))

    def waiting(self, connection: Connection) -> int:
        """Count the events that are not published yet."""
        unsent = self.table.c.sent_at.is_(None)
        return connection.scalar(select(func.count()).select_from(self.table).where(unsent)) or 0

    def oldest_seconds(self, connection: Connection) -> int:
        """Return the age in seconds of the oldest unpublished event; 0 when there is none."""
        age = func.extract("epoch", func.now() - func.min(self.table.c.occurred_at))
        return int(connection.scalar(select(age).where(self.table.c.sent_at.is_(None))) or 0)


def commit_asynchronously(connection: Connection) -> None:
    """Make the commit asynchronous: a crash of the server may lose it, and then events are only published again."""
    connection.execute(text(ASYNCHRONOUS_COMMIT))


def _row(event: Event) -> dict[str, object]:
    texts = event.texts
    return {
        "id": texts.id,
        "type": event.event_type.name,
        "saga_id": texts.saga_id,
        "payload": event.data,
        "occurred_at": texts.time,
        "cause": texts.cause,
        "trace": event.trace,
        "fault": event.fault or current_fault(),
        "taken_at": texts.taken_at,
    }


def _event(row: Row) -> Event:
    payload = CONTRACT[row["type"]].payload.model_validate_json(row["payload"])
    return Event(
        payload, row["id"], row["occurred_at"], row["cause"], row["trace"], row["fault"], taken_at=row["taken_at"]
    )
