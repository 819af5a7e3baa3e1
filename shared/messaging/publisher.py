"""Publishing a service's outbox: an event leaves it when the broker has confirmed it.

Several processes may do this at once: each takes what is due under a lease. What its own transactions stage a process
publishes at once; what web processes staged, and what is left over from a process that died, is taken when it is due.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import Connection

from shared.database.connections import Database, is_unavailable
from shared.event_bus import Event
from shared.messaging.cloud_events import to_message
from shared.messaging.outbox import Outbox, lazily
from shared.process import crash_points as faults
from shared.rabbitmq import Bus, Loop

WINDOW = 500  # events that may wait for their confirm; more would only wait in the broker
LEASE_SECONDS = 5.0  # for publishing what was taken: a hundred times what it takes
SWEEP_SECONDS = 10.0  # for what nobody was woken for: a notification is lost with its connection, or its process
FLUSH_SECONDS = 0.1  # how long a confirmed event may stay in the outbox when there is no transaction to go with
HAND_BACK_SECONDS = 0.2  # what could not be published is tried again after this
AWAY_SECONDS = 0.5  # how soon to try again when the database was away
log = structlog.get_logger()


class Publisher:
    """One process's share in publishing an outbox."""

    def __init__(self, db: Database, outbox: Outbox, bus: Bus, loop: Loop, wake: Callable[[], None]) -> None:
        self.due = True  # something may be due
        self._db, self._outbox, self._bus, self._loop, self._wake = db, outbox, bus, loop, wake
        self._confirmed: list[UUID] = []
        self._unpublished: list[UUID] = []
        self._sweep_at = float("inf")

    @property
    def has_room(self) -> bool:
        """Whether more may be published before confirms come."""
        return self._bus.unconfirmed < WINDOW

    def relay(self) -> None:
        """Take what is due from the outbox and publish it."""
        room = WINDOW - self._bus.unconfirmed
        with self._db.transaction() as connection:
            events = self._outbox.take(connection, room, LEASE_SECONDS)
            seconds = self._outbox.seconds_to_next(connection)
        self.due = len(events) == room
        self._sweep_within(SWEEP_SECONDS if seconds is None else min(seconds, SWEEP_SECONDS))
        self._publish(events)

    def stage(self, connection: Connection, events: Sequence[Event]) -> None:
        """Stage events in a transaction; after its commit they are to be `publish_staged`."""
        self._outbox.stage_own(connection, events, LEASE_SECONDS)
        self._outbox.sent(connection, self._confirmed)

    def publish_staged(self, events: Sequence[Event]) -> None:
        """The transaction is committed."""
        self._confirmed.clear()
        if events:
            self._publish(events)
            self._sweep_within(LEASE_SECONDS)

    def flush(self) -> None:
        """Take confirmed events out of the outbox, when no other transaction did."""
        if self._confirmed and self._lazily(self._outbox.sent, self._confirmed, self.flush):
            self._confirmed.clear()

    def _publish(self, events: Sequence[Event]) -> None:
        for event in events:
            self._bus.publish(to_message(event), partial(self._settled, event.id))

    def _postpone(self, seconds: Mapping[UUID, float]) -> None:
        """Have these events be due in so many seconds, and look for them then."""
        if seconds:
            with self._db.transaction() as connection:
                self._outbox.postpone(connection, seconds)
            self._sweep_within(min(seconds.values()))

    def _settled(self, event_id: UUID, there: bool) -> None:
        """The broker has the event, or it will not be known whether it has."""
        if there:
            faults.reach(f"{self._db.service}.worker.before_marking")
            if not self._confirmed:
                self._loop.call_later(FLUSH_SECONDS, self.flush)
            self._confirmed.append(event_id)
        else:
            if not self._unpublished:
                self._loop.call_later(HAND_BACK_SECONDS, self._hand_back)
            self._unpublished.append(event_id)

    def _hand_back(self) -> None:
        """Have what could not be published be due again, whoever is the first to take it."""
        log.warning("not published", events=len(self._unpublished))
        if self._lazily(self._outbox.hand_back, self._unpublished, self._hand_back):
            self._unpublished.clear()
            self.due = True
            self._wake()

    def _lazily(
        self, write: Callable[[Connection, Sequence[UUID]], None], ids: Sequence[UUID], again: Callable[[], None]
    ) -> bool:
        """Write what may get lost in a crash; whether it was possible. If the database was away, do all of it later."""
        try:
            with self._db.transaction() as connection:
                lazily(connection)
                write(connection, ids)
        except Exception as error:
            if not is_unavailable(error):
                raise
            self._loop.call_later(AWAY_SECONDS, again)
            return False
        return True

    def _sweep_within(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        if at < self._sweep_at:
            self._sweep_at = at
            self._loop.call_later(seconds + 0.01, self._sweep)

    def _sweep(self) -> None:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = float("inf")
            self.due = True
            self._wake()
