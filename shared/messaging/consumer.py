"""Consuming a service's events: those that wait go together, in as few transactions as their reactions allow.

After the commit they are acknowledged, and what follows from them is published. Should a transaction fail, each of
its messages is tried alone, so that none goes with another. So is a message that may be what its consumers die of.
While the database is away all of them wait; a message whose rows somebody else has waits alone.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import structlog
from sqlalchemy import Connection

from shared.batching.arrivals import ArrivalEstimate
from shared.batching.partition import partition_unique
from shared.database.connections import Database, is_unavailable
from shared.database.sqlstate import is_held_up
from shared.event_bus import Event
from shared.fault_switches.messages import MessageFaults
from shared.messaging.cloud_events import from_message
from shared.messaging.delivery import Delivery
from shared.messaging.outbox import Outbox
from shared.messaging.parking import parked
from shared.messaging.publisher import Publisher
from shared.process import crash_points as faults
from shared.rabbitmq import Bus, Loop, dead_queue

BATCH = 100  # messages in one transaction: beyond this nothing is gained, and locks are held for longer
TRIES, TRY_AGAIN_SECONDS = 4, 0.2  # of a message that fails for its own reasons: 0.2, 0.4, 0.8 s, then it is parked
# Messages of one round that fail since somebody else has their rows. Each takes `LOCK_SECONDS`, in which the worker
# does nothing else; and with so many it may as well be the whole database that is slow.
MOST_HELD_UP = 2
MOST_HELD_UP_SECONDS = 10.0  # between two tries of such a message: several times what a try takes
DEATHS = 5  # of consumers that had it in hand, before it is parked: fewer than until a supervisor gives the process up
GATHER_SECONDS = 0.005  # what a lone message takes from one service to the next: see docs/decisions/0008
PARKING_DEATHS = DEATHS + 3  # of consumers that ended while it was parked: then the broker puts it there as it is
log = structlog.get_logger()

# Given events, new or not, in one transaction: what follows from them.
Handle = Callable[[Connection, Sequence[Event]], list[Event]]
# Events in the parts that may share a transaction.
Split = Callable[[Sequence[Delivery]], Iterable[list[Delivery]]]
# Whether those that wait are worth a transaction; the second is how many came together lately.
Enough = Callable[[Sequence[Delivery], int], bool]


def by_type(batch: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Those of one type, each of another saga: what changes rows takes its locks in one order then."""
    of_type = defaultdict[type, list[Delivery]](list)
    for delivery in batch:
        of_type[type(delivery.known.payload)].append(delivery)
    for deliveries in of_type.values():
        yield from partition_unique(deliveries, lambda delivery: delivery.known.saga_id)


def all_together(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """For a service that locks nothing but its own rows, in one order."""
    return [list(batch)] if batch else []


def as_many_as_lately(waiting: Sequence[Delivery], expected: int) -> bool:
    """For a service whose reactions others wait for: what comes alone is dealt with at once."""
    return len(waiting) >= expected


@dataclass(frozen=True)
class Part:
    """A service's part in the choreography: what it does with events, and where it stages those that follow.

    Until there are enough it waits for more, though never longer than `max_wait`.
    """

    outbox: Outbox
    handle: Handle
    split: Split = by_type
    enough: Enough = as_many_as_lately
    max_wait: float = GATHER_SECONDS
    faults: MessageFaults | None = None  # what it suffers on purpose, where that can be switched on


class Deadly(Exception):
    """A message that its consumers die of, as it seems."""


class Consumer:
    """One process's share in consuming a service's queue."""

    def __init__(self, db: Database, part: Part, bus: Bus, loop: Loop, publisher: Publisher) -> None:
        self._db, self._part, self._bus, self._loop, self._publisher = db, part, bus, loop, publisher
        self.told = False  # that something may have been switched on or off
        self._alone = deque[Delivery]()
        self._arrivals = ArrivalEstimate()

    @property
    def due(self) -> bool:
        """Whether there are messages to be dealt with."""
        return bool(self._bus.deliveries or self._alone)

    @property
    def should_wait(self) -> bool:
        """Whether more messages should come first, for the moment that the service's part allows."""
        waiting = self._bus.deliveries
        return bool(waiting) and not self._part.enough(waiting, self._arrivals.expected)

    def look(self) -> None:
        """See what was switched, if there may be something; here, nothing can be."""

    def consume(self) -> None:
        """Deal with some of what has come. Raises when the database is away, or slow; nothing is forgotten then."""
        parts = deque(self._parts())
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
        """Up to `BATCH` messages, in parts for a transaction each; then one of those to be tried alone."""
        waiting = self._bus.deliveries
        if waiting:
            self._arrivals.observe(len(waiting))
        taken = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        known = [delivery for delivery in taken if self._read(delivery)]
        self._alone.extend(delivery for delivery in known if delivery.apart)
        yield from self._part.split([delivery for delivery in known if not delivery.apart])
        while self._alone and self._alone[0].lost:
            self._alone.popleft()
        if self._alone:
            yield [self._alone.popleft()]

    def _deal_with(self, part: list[Delivery]) -> None:
        """One transaction; then acknowledge, and publish what follows. Any error rolls it back."""
        with self._db.transaction() as connection:
            following = self._part.handle(connection, [delivery.known for delivery in part])
            self._publisher.stage(connection, following)
            faults.reach(f"{self._db.service}.worker.before_commit")
        faults.reach(f"{self._db.service}.worker.before_ack")
        self._acknowledge(part)
        self._publisher.publish_staged(following)

    def _acknowledge(self, part: list[Delivery]) -> None:
        self._bus.ack(part)

    def _read(self, delivery: Delivery) -> bool:
        """Whether it is an event to be dealt with; a message that is none, and never will be, is parked at once."""
        if delivery.given_back >= DEATHS:
            self._park(delivery, Deadly(f"{delivery.given_back} consumers ended with it in hand"), delivery.given_back)
            return False
        if delivery.event is None:
            try:
                delivery.event = from_message(delivery.headers, delivery.body)
            except Exception as error:  # reading does nothing else, so whatever is wrong is wrong with the message
                self._park(delivery, error, tries=1)
        return delivery.event is not None

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        delivery.tries += 1
        log.warning("message failed", **_told(delivery), tries=delivery.tries, exc_info=error)
        if delivery.tries >= TRIES:
            self._park(delivery, error, delivery.tries)
        else:
            self._later(delivery, TRY_AGAIN_SECONDS * 2 ** (delivery.tries - 1))

    def _held_up(self, delivery: Delivery, error: Exception) -> None:
        """Somebody else has its rows, for as long as it may take: it is never parked for that."""
        delivery.held_up += 1
        log.warning("message held up", **_told(delivery), times=delivery.held_up, error=str(error).splitlines()[0])
        doubled = TRY_AGAIN_SECONDS * 2 ** min(delivery.held_up - 1, 10)
        self._later(delivery, min(doubled, MOST_HELD_UP_SECONDS))

    def _later(self, delivery: Delivery, seconds: float) -> None:
        self._loop.call_later(seconds, lambda: self._bus.put_back(delivery))

    def _park(self, delivery: Delivery, error: Exception, tries: int) -> None:
        """Put the message where people find it, with the reason; it is acknowledged once it is there."""
        if delivery.given_back >= PARKING_DEATHS:
            return self._leave_to_broker(delivery, error)
        try:
            settled = partial(self._parked, delivery, error, tries)
            self._bus.publish(parked(delivery, error, tries), settled, queue=dead_queue(self._db.service))
        except Exception as failure:
            return self._leave_to_broker(delivery, failure)
        return None

    def _leave_to_broker(self, delivery: Delivery, error: Exception) -> None:
        """The last resort, for a message that we cannot publish."""
        log.error("message rejected", routing_key=delivery.routing_key, error=str(error))
        self._bus.reject(delivery)

    def _parked(self, delivery: Delivery, error: Exception, tries: int, there: bool) -> None:
        told = {"routing_key": delivery.routing_key, "error": str(error), "tries": tries}
        if there:
            log.error("message parked", **told)
            self._bus.ack([delivery])
        else:
            log.warning("message not parked yet", **told)
            self._later(delivery, TRY_AGAIN_SECONDS)


def _told(delivery: Delivery) -> dict[str, str]:
    event = delivery.known
    return {"type": delivery.routing_key, "saga_id": str(event.saga_id), "event_id": str(event.id)}
