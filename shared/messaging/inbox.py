"""The inbox: each event is handled once, however often it is delivered.

Its row is written in the transaction of the handler, so both commit or neither does. Rows are purged; an event that is
so old that its row may be gone is refused, so that a late duplicate does not count as new.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Column, Connection, DateTime, MetaData, Table, Uuid, func

from shared.database.prepared import prepared
from shared.event_bus import Event, Payload, SagaResendRequested
from shared.messaging.outbox import Outbox
from shared.purging.retention import TooOld, retention_of, too_old_sql

log = structlog.get_logger()
# For each handled event, the payloads to publish.
Published = Sequence[Sequence[Payload]]
# Handles payloads of one type, each of another saga.
EventHandler = Callable[[Connection, Sequence[Any]], Published]
EventHandlers = Mapping[type[Payload], EventHandler]

ENTER = """
WITH came AS (
    SELECT event_id, {too_old} AS too_old FROM unnest(CAST(:ids AS uuid[])) AS came (event_id)
), entered AS (
    INSERT INTO {table} (event_id) SELECT event_id FROM came WHERE NOT too_old ON CONFLICT DO NOTHING RETURNING event_id
)
SELECT event_id, false AS too_old FROM entered
UNION ALL
SELECT event_id, true FROM came WHERE too_old AND NOT EXISTS (SELECT FROM {table} WHERE event_id = came.event_id)
"""


class Inbox:
    """One service's inbox table."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "inbox",
            metadata,
            Column("event_id", Uuid, primary_key=True),
            Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        too_old = too_old_sql("event_id", ":kept_seconds")
        self._enter = prepared(ENTER.format(table=self.table.fullname, too_old=too_old))

    def enter(self, connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
        """Insert these ids and return the new ones; waits for a transaction that handles one. Raises `TooOld`."""
        values = {"ids": sorted(map(str, ids)), "kept_seconds": retention_of(connection).steps}
        entered = connection.execute(self._enter, values).all()
        refused = [str(event_id) for event_id, too_old in entered if too_old]
        if refused:
            raise TooOld(f"too old to tell whether it came before: {', '.join(refused)}", event_ids=refused)
        return {event_id for event_id, _ in entered}


def handle_new(
    connection: Connection, events: Sequence[Event], *, inbox: Inbox, handlers: EventHandlers
) -> list[Event]:
    """Handle the new ones of these events, all of one type and each of another saga; return the events that follow."""
    ids = inbox.enter(connection, [event.id for event in events])
    new = [event for event in events if event.id in ids]
    if len(new) < len(events):
        log.debug("repeated events", events=len(events) - len(new))
    if not new:
        return []
    answers = handlers[type(new[0].payload)](connection, [event.payload for event in new])
    return [event.follow(payload) for event, payloads in zip(new, answers, strict=True) for payload in payloads]


def resend(connection: Connection, requests: Sequence[SagaResendRequested], *, outbox: Outbox) -> Published:
    """Handle requests to send sagas' events again; no event follows."""
    outbox.send_again(connection, {request.saga_id for request in requests})
    return [[] for _ in requests]
