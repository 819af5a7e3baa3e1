"""The relay: publishes a service's outbox with publisher confirms.

Several processes may publish at once: each claims due events under a lease. A process publishes at once what its own
transactions staged; it claims what web processes staged, and what a dead process left, when that is due.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import Connection

from shared import metrics
from shared.database.connections import Database, is_unavailable
from shared.event_bus import Event
from shared.messaging import spans
from shared.messaging.cloud_events import to_message
from shared.messaging.outbox import Outbox, commit_asynchronously
from shared.process import crash_points
from shared.rabbitmq import Bus, Loop

WINDOW = 500  # events without a confirm; more would only wait in the broker
LEASE_SECONDS = 5.0  # for publishing claimed events: a hundred times what that takes
SWEEP_SECONDS = 10.0  # between two looks for due events without a notification, which can be lost
FLUSH_SECONDS = 0.1  # at most so late is a confirmed event marked as sent, if no other transaction does it
HAND_BACK_SECONDS = 0.2  # between two tries to publish an event
AWAY_SECONDS = 0.5  # between two tries while the database is unavailable
log = structlog.get_logger()


class Publisher:
    """Publishes events of one outbox, in one process."""

    def __init__(self, db: Database, outbox: Outbox, bus: Bus, loop: Loop, wake: Callable[[], None]) -> None:
        self.due = True  # whether an event may be due
        self._db, self._outbox, self._bus, self._loop, self._wake = db, outbox, bus, loop, wake
        self._published, self._unconfirmed = metrics.published(db.service), metrics.unconfirmed(db.service)
        self._confirmed: list[UUID] = []
        self._unpublished: list[UUID] = []
        self._sweep_at = float("inf")

    @property
    def has_room(self) -> bool:
        """Whether the window of unconfirmed events has room."""
        return self._bus.unconfirmed < WINDOW

    def relay(self) -> None:
        """Claim due events and publish them."""
        room = WINDOW - self._bus.unconfirmed
        with self._db.transaction() as connection:
            events = self._outbox.claim(connection, room, LEASE_SECONDS)
            seconds = self._outbox.seconds_to_next(connection)
        self.due = len(events) == room
        self._sweep_within(SWEEP_SECONDS if seconds is None else min(seconds, SWEEP_SECONDS))
        self._publish(events)

    def stage(self, connection: Connection, events: Sequence[Event]) -> None:
        """Stage events in a transaction; call `publish_staged` after its commit."""
        self._outbox.stage_own(connection, events, LEASE_SECONDS, self._confirmed)

    def publish_staged(self, events: Sequence[Event]) -> None:
        """Publish staged events; call it after the commit."""
        self._confirmed.clear()
        if events:
            self._publish(events)
            self._sweep_within(LEASE_SECONDS)

    def flush(self) -> None:
        """Mark confirmed events as sent, when no other transaction has done so."""
        if self._confirmed and self._write_asynchronously(self._outbox.sent, self._confirmed, self.flush):
            self._confirmed.clear()

    def _publish(self, events: Sequence[Event]) -> None:
        for event in events:
            traced, settled = spans.publishing(event, partial(self._settled, event.id))
            self._bus.publish(to_message(traced), settled)

    def _postpone(self, seconds: Mapping[UUID, float]) -> None:
        """Make each of these events due in so many seconds, and look for them then."""
        if seconds:
            with self._db.transaction() as connection:
                self._outbox.postpone(connection, seconds)
            self._sweep_within(min(seconds.values()))

    def _settled(self, event_id: UUID, there: bool) -> None:
        """Called when the broker has confirmed the event (`there`), or when no confirm will come."""
        if there:
            crash_points.reach(f"{self._db.service}.worker.before_marking")
            if not self._confirmed:
                self._loop.call_later(FLUSH_SECONDS, self.flush)
            self._confirmed.append(event_id)
            self._published.inc()
        else:
            if not self._unpublished:
                self._loop.call_later(HAND_BACK_SECONDS, self._hand_back)
            self._unpublished.append(event_id)
            self._unconfirmed.inc()

    def _hand_back(self) -> None:
        """Return the events that could not be published; any process may claim them."""
        log.warning("not published", events=len(self._unpublished))
        if self._write_asynchronously(self._outbox.hand_back, self._unpublished, self._hand_back):
            self._unpublished.clear()
            self.due = True
            self._wake()

    def _write_asynchronously(
        self, write: Callable[[Connection, Sequence[UUID]], None], ids: Sequence[UUID], again: Callable[[], None]
    ) -> bool:
        """Write in an asynchronous commit; return False, to be done later, when the database is unavailable."""
        try:
            with self._db.transaction() as connection:
                commit_asynchronously(connection)
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
