"""Consumes a service's events in batches (`shared/batching`), in as few transactions as their handlers allow.

After the commit the messages are acknowledged, and the events that follow are published. When a transaction fails,
each of its messages is tried alone, so that one failure stays one message's. A message that may be a poison message,
one that kills its consumers, is tried alone, too. While the database is unavailable all messages wait; a message whose
rows are locked waits alone.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

import structlog

from shared import metrics
from shared.batching.arrivals import ArrivalEstimate
from shared.database.connections import Database, is_unavailable
from shared.database.sqlstate import is_held_up
from shared.event_bus import CONTRACT
from shared.messaging import spans
from shared.messaging.cloud_events import from_message
from shared.messaging.delivery import Delivery
from shared.messaging.parking import parked
from shared.messaging.publisher import Publisher
from shared.messaging.subscription import Subscription
from shared.process import crash_points
from shared.rabbitmq import Bus, Loop
from shared.topology import dead_queue

TRIES, TRY_AGAIN_SECONDS = 4, 0.2  # of a message that fails for its own reasons; after 0.2, 0.4, 0.8 s it is parked
# Messages of one batch that may fail because of locked rows. Each takes `LOCK_SECONDS`, in which the worker does
# nothing else; after so many, the whole database may be slow.
MOST_HELD_UP = 2
MOST_HELD_UP_SECONDS = 10.0  # at most, between two tries of such a message: several times what a try takes
# A message is poison when so many consumers died with it unacknowledged: fewer than until a supervisor gives up.
DEATHS = 5
PARKING_DEATHS = DEATHS + 3  # consumers that died while they parked it: then the broker dead-letters it unchanged
log = structlog.get_logger()


class PoisonMessage(Exception):
    """A message that seems to kill its consumers."""


class Consumer:
    """Consumes a service's queue, in one process."""

    def __init__(self, db: Database, subscription: Subscription, bus: Bus, loop: Loop, publisher: Publisher) -> None:
        self._db, self._subscription, self._bus, self._loop, self._publisher = db, subscription, bus, loop, publisher
        self.told = False  # whether the fault switches may have changed
        self._alone = deque[Delivery]()
        self._done: list[Delivery] = []  # to acknowledge at the end of the batch
        self._arrivals = ArrivalEstimate()

    @property
    def due(self) -> bool:
        """Whether there are messages to handle."""
        return bool(self._bus.deliveries or self._alone)

    @property
    def should_wait(self) -> bool:
        """Whether the batch is still open for more messages, for as long as the policy allows."""
        waiting, batches, closes = self._bus.deliveries, self._subscription.batches, self._subscription.closes
        if not waiting:
            return False
        if closes is None:
            return not batches.is_full(len(waiting), self._arrivals.expected)
        return not closes(waiting) and (batches.max_size is None or len(waiting) < batches.max_size)

    def look(self) -> None:
        """Read the fault switches, if they may have changed; without faults there are none."""

    def consume(self) -> None:
        """Handle a batch, and acknowledge its messages together.

        Raises when the database is unavailable or slow, and keeps the other messages then.
        """
        try:
            self._deal_with_all(deque(self._parts()))
        finally:
            self._bus.ack(self._done)
            self._done.clear()

    def _deal_with_all(self, parts: deque[list[Delivery]]) -> None:
        held_up = 0
        while parts:
            part = parts.popleft()
            try:
                self._deal_with(part)
            except Exception as error:
                if is_unavailable(error) and not is_held_up(error):
                    self._put_back([part, *parts])
                    raise
                if len(part) > 1:
                    parts.extendleft([delivery] for delivery in reversed(part))
                elif is_held_up(error):
                    held_up += 1
                    self._held_up(part[0], error)
                    if held_up >= MOST_HELD_UP:
                        self._put_back(parts)
                        raise
                else:
                    self._failed(part[0], error)

    def _put_back(self, parts: Iterable[list[Delivery]]) -> None:
        self._bus.deliveries.extendleft(reversed(list(chain(*parts))))

    def _parts(self) -> Iterator[list[Delivery]]:
        """Close a batch: yield its parts, for a transaction each, then one of the messages that are tried alone."""
        waiting = self._bus.deliveries
        if waiting:
            self._arrivals.observe(len(waiting))
        taken = [
            waiting.popleft() for _ in range(min(len(waiting), self._subscription.batches.max_size or len(waiting)))
        ]
        known = [delivery for delivery in taken if self._read(delivery)]
        self._alone.extend(delivery for delivery in known if delivery.apart)
        yield from self._subscription.split([delivery for delivery in known if not delivery.apart])
        while self._alone and self._alone[0].lost:
            self._alone.popleft()
        if self._alone:
            yield [self._alone.popleft()]

    def _deal_with(self, part: list[Delivery]) -> None:
        """Handle a part in one transaction, and publish what follows. Any error rolls back."""
        began = time.monotonic()
        with spans.processing([delivery.known for delivery in part]) as events, self._db.transaction() as connection:
            following = self._subscription.handle(connection, events)
            self._publisher.stage(connection, following)
            crash_points.reach(f"{self._db.service}.worker.before_commit")
        crash_points.reach(f"{self._db.service}.worker.before_ack")
        metrics.messages_handled(self._db.service, map(_type_of, part), time.monotonic() - began)
        self._acknowledge(part)
        self._publisher.publish_staged(following)

    def _acknowledge(self, part: list[Delivery]) -> None:
        """Have these acknowledged: they are committed, so a crash before that costs a repetition only."""
        self._done += part

    def _read(self, delivery: Delivery) -> bool:
        """Read the event; return False for a message that is none, or poison, which is parked at once."""
        if delivery.given_back >= DEATHS:
            error = PoisonMessage(f"{delivery.given_back} consumers ended while they handled it")
            self._park(delivery, error, delivery.given_back)
            return False
        if delivery.event is None:
            try:
                delivery.event = from_message(delivery.headers, delivery.body)
            except Exception as wrong:  # any error is the message's own: reading it does nothing else
                self._park(delivery, wrong, tries=1)
        return delivery.event is not None

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        delivery.tries += 1
        log.warning("message failed", **_told(delivery), tries=delivery.tries, exc_info=error)
        if delivery.tries >= TRIES:
            self._park(delivery, error, delivery.tries)
        else:
            metrics.message_retried(self._db.service, _type_of(delivery), "failed").inc()
            self._later(delivery, TRY_AGAIN_SECONDS * 2 ** (delivery.tries - 1))

    def _held_up(self, delivery: Delivery, error: Exception) -> None:
        """Try again later: its rows are locked, for which a message is never parked."""
        delivery.held_up += 1
        metrics.message_retried(self._db.service, _type_of(delivery), "locked").inc()
        log.warning("message held up", **_told(delivery), times=delivery.held_up, error=str(error).splitlines()[0])
        doubled = TRY_AGAIN_SECONDS * 2 ** min(delivery.held_up - 1, 10)
        self._later(delivery, min(doubled, MOST_HELD_UP_SECONDS))

    def _later(self, delivery: Delivery, seconds: float) -> None:
        self._loop.call_later(seconds, lambda: self._bus.put_back(delivery))

    def _park(self, delivery: Delivery, error: Exception, tries: int) -> None:
        """Publish the message to the dead letters, with the reason; acknowledge it when that is confirmed."""
        if delivery.given_back >= PARKING_DEATHS:
            return self._leave_to_broker(delivery, error)
        try:
            settled = partial(self._parked, delivery, error, tries)
            self._bus.publish(parked(delivery, error, tries), settled, queue=dead_queue(self._db.service))
        except Exception as failure:
            return self._leave_to_broker(delivery, failure)
        return None

    def _leave_to_broker(self, delivery: Delivery, error: Exception) -> None:
        """Have the broker dead-letter a message that can't be published."""
        log.error("message rejected", routing_key=delivery.routing_key, error=str(error))
        metrics.message_parked(self._db.service, _type_of(delivery)).inc()
        self._bus.reject(delivery)

    def _parked(self, delivery: Delivery, error: Exception, tries: int, there: bool) -> None:
        told = {"routing_key": delivery.routing_key, "error": str(error), "tries": tries}
        if there:
            log.error("message parked", **told)
            metrics.message_parked(self._db.service, _type_of(delivery)).inc()
            self._bus.ack([delivery])
        else:
            log.warning("message not parked yet", **told)
            self._later(delivery, TRY_AGAIN_SECONDS)


def _type_of(delivery: Delivery) -> str:
    """The event type; one name for all that anybody may have sent, so that metrics have few labels."""
    return delivery.routing_key if delivery.routing_key in CONTRACT else metrics.UNKNOWN_TYPE


def _told(delivery: Delivery) -> dict[str, str]:
    event = delivery.known
    return {"type": delivery.routing_key, "saga_id": str(event.saga_id), "event_id": str(event.id)}
