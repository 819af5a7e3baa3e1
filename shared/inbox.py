"""The inbox: each event is reacted to once, however often it is delivered.

The row is written in the transaction of the reaction, so both are there or neither is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, MetaData, Table, Uuid, func, text

from shared.batches import rounds
from shared.event_bus import Event, Payload

# Given what events of one type say, each of another saga: for each of them, what is to be published.
Reaction = Callable[[Connection, Sequence[Any]], Sequence[Sequence[Payload]]]
Reactions = Mapping[type[Payload], Reaction]

ENTER = """
INSERT INTO {table} (event_id) SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING RETURNING event_id
"""


class Inbox:
    """One service's inbox, over its own table."""

    def __init__(self, metadata: MetaData) -> None:
        self.table = Table(
            "inbox",
            metadata,
            Column("event_id", Uuid, primary_key=True),
            Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        )
        self._enter = text(ENTER.format(table=self.table.fullname))

    def enter(self, uow: Connection, ids: Sequence[UUID]) -> set[UUID]:
        """Those that were not here before; one that is being dealt with elsewhere is waited for."""
        return set(uow.scalars(self._enter, {"ids": sorted(map(str, ids))}))


def react(uow: Connection, inbox: Inbox, reactions: Reactions, events: Sequence[Event]) -> list[Event]:
    """React to each event that is new; what follows from them. Types in turn, a saga's events in their order."""
    by_id = {event.id: event for event in events}
    new = inbox.enter(uow, list(by_id))
    following: list[Event] = []
    for payload, reaction in reactions.items():
        of_type = [event for event in by_id.values() if event.id in new and type(event.payload) is payload]
        for together in rounds(of_type, lambda event: event.saga_id):
            answers = reaction(uow, [event.payload for event in together])
            for event, payloads in zip(together, answers, strict=True):
                following += [event.follow(each) for each in payloads]
    return following
