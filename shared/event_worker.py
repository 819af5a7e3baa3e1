"""The process that consumes a service's events and publishes its outbox: one loop, one thread, one connection each.

Messages that wait go together: one transaction for all of them, with what follows from them in the outbox. After its
commit they are acknowledged and what follows is published from memory; the row in the outbox goes when the broker
has confirmed it. What web processes staged, and what is left over from a process that died, is taken from the outbox.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from uuid import UUID

import psycopg2
import structlog
from sqlalchemy import Connection

from shared import faults
from shared.batches import rounds
from shared.cloud_events import Message, Unreadable, from_message, to_message
from shared.config import ServiceSettings
from shared.db import Database, is_unavailable, url_of
from shared.event_bus import Event
from shared.ids import new_id
from shared.outbox import Outbox, lazily
from shared.rabbitmq import Bus, Delivery, Loop, dead_queue
from shared.wakeup import Listener, Stop

BATCH = 100  # messages in one transaction: beyond this nothing is gained, and locks are held for longer
WINDOW = 500  # events that may wait for their confirm; more would only wait in the broker
LEASE_SECONDS = 5.0  # for publishing what was taken: a hundred times what it takes
SWEEP_SECONDS = 30.0  # for what nobody was woken for: a notification is lost with its connection
FLUSH_SECONDS = 0.1  # how long a confirmed event may stay in the outbox when there is no transaction to go with
AWAY_SECONDS = 0.5  # how soon to try again when the database was away
TRIES, TRY_AGAIN_SECONDS = 4, 0.2  # of a message that fails for its own reasons: 0.2, 0.4, 0.8 s, then it is parked
STOP_SECONDS = 5.0  # for the confirms that are still awaited
ERROR_LENGTH = 500
log = structlog.get_logger()

# Given events, new or not, in one transaction: what follows from them.
Handle = Callable[[Connection, Sequence[Event]], list[Event]]
# Messages in the parts that may share a transaction.
Split = Callable[[Sequence[Delivery]], Iterable[list[Delivery]]]


def by_type(batch: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Those of one type, each of another saga: what changes rows takes its locks in one order then."""
    of_type = defaultdict[str, list[Delivery]](list)
    for delivery in batch:
        of_type[delivery.routing_key].append(delivery)
    for deliveries in of_type.values():
        yield from rounds(deliveries, lambda delivery: delivery.event and delivery.event.saga_id)


def all_together(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """For a service that locks nothing but its own rows, in one order."""
    return [list(batch)] if batch else []


@dataclass(frozen=True)
class Part:
    """A service's part in the choreography: what it does with events, and where it stages those that follow."""

    outbox: Outbox
    handle: Handle
    split: Split = by_type


def jobs(db: Database, part: Part, settings: ServiceSettings, stop: Stop) -> list[Callable[[], None]]:
    """What a worker process runs for its service's events: nothing without a broker."""
    return (
        []
        if settings.rabbitmq_url is None
        else [EventWorker(db, part, url_of(settings), settings.rabbitmq_url, stop).run]
    )


class EventWorker:
    """One process's share of a service's events; any number of them may run."""

    def __init__(self, db: Database, part: Part, database_url: str, rabbitmq_url: str, stop: Stop) -> None:
        self._db, self._part, self._stop = db, part, stop
        self._service = db.service
        self._loop = Loop()
        self._bus = Bus(rabbitmq_url, self._service, self._loop, self._work)
        self._listener = Listener(database_url, part.outbox.channel)
        self._confirmed: list[UUID] = []
        self._outbox_due = True
        self._paused_until = 0.0
        self._sweep_at = float("inf")
        self._stopping = False

    def run(self) -> None:
        """Work until told to stop; call it in the app's context."""
        self._loop.add_handler(self._stop.pipe.fileno(), self._asked_to_stop, Loop.READ)
        self._listen()
        self._bus.open()
        self._loop.start()
        self._loop.close()
        self._listener.close()

    # ---- what there is to do ----

    def _work(self) -> None:
        """Called whenever there may be something to do; does one piece of it, and comes again if there is more."""
        if self._stopping:
            return self._finish()
        if not self._bus.ready or time.monotonic() < self._paused_until:
            return None
        try:
            if self._bus.unconfirmed < WINDOW and self._bus.deliveries:
                self._consume()
            if self._bus.unconfirmed < WINDOW and self._outbox_due:
                self._relay()
        except Exception as error:
            if not is_unavailable(error):
                raise
            self._pause(error)
            return None
        if self._bus.unconfirmed < WINDOW and (self._bus.deliveries or self._outbox_due):
            self._loop.call_later(0, self._work)
        return None

    def _pause(self, error: Exception) -> None:
        log.warning("database unavailable", error=str(error).splitlines()[0])
        self._paused_until = time.monotonic() + AWAY_SECONDS
        self._loop.call_later(AWAY_SECONDS + 0.01, self._work)

    # ---- consuming ----

    def _consume(self) -> None:
        """Deal with what has come; should a part fail, each of its messages is tried alone: none goes with it."""
        waiting = self._bus.deliveries
        taken = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        parts = deque(self._part.split([delivery for delivery in taken if self._read(delivery)]))
        while parts:
            part = parts.popleft()
            try:
                self._deal_with(part)
            except Exception as error:
                if is_unavailable(error):
                    waiting.extendleft(reversed([*part, *chain(*parts)]))
                    raise
                if len(part) == 1:
                    self._failed(part[0], error)
                else:
                    parts.extendleft([delivery] for delivery in reversed(part))

    def _deal_with(self, batch: list[Delivery]) -> None:
        """One transaction; then acknowledge, and publish what follows."""
        events = [delivery.event for delivery in batch if delivery.event]
        with self._db.transaction() as uow:
            following = self._part.handle(uow, events)
            self._part.outbox.stage_own(uow, following, LEASE_SECONDS)
            self._forget_confirmed(uow)
            faults.reach(f"{self._service}.worker.before_commit")
        faults.reach(f"{self._service}.worker.before_ack")
        self._bus.ack(batch)
        self._publish(following)
        self._sweep_within(LEASE_SECONDS)

    def _read(self, delivery: Delivery) -> Event | None:
        """The event, None for a message that is none, which is parked at once."""
        if delivery.event is None and not delivery.parked:
            try:
                delivery.event = from_message(delivery.headers, delivery.content_type, delivery.body)
            except Unreadable as error:
                delivery.tries += 1
                self._park(delivery, error)
        return delivery.event

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        delivery.tries += 1
        log.warning("message failed", routing_key=delivery.routing_key, tries=delivery.tries, exc_info=error)
        if delivery.tries >= TRIES:
            return self._park(delivery, error)
        self._loop.call_later(TRY_AGAIN_SECONDS * 2 ** (delivery.tries - 1), lambda: self._again(delivery))
        return None

    def _again(self, delivery: Delivery) -> None:
        if not delivery.lost and not self._stopping:
            self._bus.deliveries.append(delivery)
            self._work()

    def _park(self, delivery: Delivery, error: Exception) -> None:
        """Put the message where people find it, with the reason; it is acknowledged once it is there."""
        log.error("message parked", routing_key=delivery.routing_key, error=str(error), tries=delivery.tries)
        delivery.parked = True
        reasons = {
            "x-error": f"{type(error).__name__}: {error}"[:ERROR_LENGTH],
            "x-tries": delivery.tries,
            "x-parked-at": datetime.now(UTC).isoformat(),
            "x-routing-key": delivery.routing_key,
        }
        kept = {name: value for name, value in delivery.headers.items() if not name.startswith("x-")}
        message_id = str(delivery.headers.get("ce-id") or new_id())
        saga_id = str(delivery.headers.get("ce-subject", ""))
        message = Message(message_id, delivery.routing_key, saga_id, {**kept, **reasons}, delivery.body)
        self._bus.publish(message, lambda there: self._parked(delivery, there), queue=dead_queue(self._service))

    def _parked(self, delivery: Delivery, there: bool) -> None:
        if there:
            return self._bus.ack([delivery])
        delivery.parked = False
        return self._again(delivery)

    # ---- publishing ----

    def _relay(self) -> None:
        """Take what is due from the outbox and publish it."""
        with self._db.transaction() as uow:
            events = self._part.outbox.take(uow, WINDOW - self._bus.unconfirmed, LEASE_SECONDS)
            seconds = self._part.outbox.seconds_to_next(uow)
        self._outbox_due = self._bus.unconfirmed + len(events) >= WINDOW
        self._sweep_within(SWEEP_SECONDS if seconds is None else min(seconds, SWEEP_SECONDS))
        self._publish(events)

    def _publish(self, events: Sequence[Event]) -> None:
        for event in events:
            self._bus.publish(to_message(event), partial(self._settled, event))

    def _settled(self, event: Event, there: bool) -> None:
        """What the broker does not have stays in the outbox, and is due again when its lease is over."""
        if not there:
            log.warning("not published", type=event.entry.name, event_id=str(event.id))
            return
        faults.reach(f"{self._service}.worker.before_marking")
        if not self._confirmed:
            self._loop.call_later(FLUSH_SECONDS, self._flush)
        self._confirmed.append(event.id)

    def _flush(self) -> None:
        """Take confirmed events out of the outbox, when no other transaction did."""
        if not self._confirmed:
            return
        try:
            with self._db.transaction() as uow:
                lazily(uow)
                self._forget_confirmed(uow)
        except Exception as error:
            if not is_unavailable(error):
                raise
            self._loop.call_later(AWAY_SECONDS, self._flush)

    def _forget_confirmed(self, uow: Connection) -> None:
        """Should this transaction fail, they are published again: that is what the inboxes are for."""
        confirmed, self._confirmed = self._confirmed, []
        self._part.outbox.sent(uow, confirmed)

    def _sweep_within(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        if at < self._sweep_at:
            self._sweep_at = at
            self._loop.call_later(seconds + 0.01, self._sweep)

    def _sweep(self) -> None:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = float("inf")
            self._outbox_due = True
            self._work()

    # ---- being woken ----

    def _listen(self) -> None:
        try:
            self._listener.open()
        except psycopg2.OperationalError as error:
            log.warning("not listening", error=str(error).strip())
            self._loop.call_later(AWAY_SECONDS, self._listen)
            return
        self._loop.add_handler(self._listener.fileno(), self._woken, Loop.READ)
        self._outbox_due = True  # what was staged while nobody listened
        self._work()

    def _woken(self, fd: int, _: int) -> None:
        try:
            self._listener.wait(0)
        except psycopg2.OperationalError:
            with suppress(OSError, KeyError):
                self._loop.remove_handler(fd)
            self._loop.call_later(AWAY_SECONDS, self._listen)
        self._outbox_due = True
        self._work()

    # ---- stopping ----

    def _asked_to_stop(self, fd: int, _: int) -> None:
        self._loop.remove_handler(fd)
        self._stopping = True
        self._bus.stop_consuming()
        self._loop.call_later(STOP_SECONDS, self._loop.stop)
        self._finish()

    def _finish(self) -> None:
        """End when all that was published is confirmed; what will not be in time is left to others."""
        if self._bus.closed:
            self._loop.stop()
        elif not self._bus.unconfirmed:
            self._flush()
            self._bus.close()
