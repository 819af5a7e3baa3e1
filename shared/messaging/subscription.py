"""What a service subscribes with: its handler of events, its outbox, and how messages are put into batches."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.batching.partition import partition_unique
from shared.batching.policy import BatchPolicy
from shared.event_bus import Event
from shared.fault_switches.messages import MessageFaults
from shared.messaging.delivery import Delivery
from shared.messaging.outbox import Outbox

# More messages in one transaction gain nothing, and hold locks for longer; the wait is as long as a lone message takes
# from one service to the next (docs/decisions/0008).
BATCHES = BatchPolicy(max_size=100, max_wait=0.005)

# Handles events, new or repeated, in one transaction; returns the events that follow.
Handle = Callable[[Connection, Sequence[Event]], list[Event]]
# Splits messages into parts that may share a transaction.
Split = Callable[[Sequence[Delivery]], Iterable[list[Delivery]]]
# Whether the batch of these messages is to be closed, whatever their number.
Closes = Callable[[Sequence[Delivery]], bool]


def by_type(batch: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Messages of one type, each of another saga: handlers that change rows lock them in one order then."""
    of_type = defaultdict[type, list[Delivery]](list)
    for delivery in batch:
        of_type[type(delivery.known.payload)].append(delivery)
    for deliveries in of_type.values():
        yield from partition_unique(deliveries, lambda delivery: delivery.known.saga_id)


def all_together(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """All messages in one transaction: for a handler that locks its rows in one order."""
    return [list(batch)] if batch else []


@dataclass(frozen=True)
class Subscription:
    """A service's part in the choreography: its handler of events, and the outbox for those that follow.

    A batch is closed when `batches` says so; with `closes`, when that does, after `batches.max_wait`, or when it has
    `batches.max_size` messages.
    """

    outbox: Outbox
    handle: Handle
    split: Split = by_type
    closes: Closes | None = None
    batches: BatchPolicy = BATCHES
    faults: MessageFaults | None = None  # the faults that happen to its messages, with `FAULTS=true`

    @property
    def prefetch(self) -> int:
        """How many unacknowledged messages a process has at most: one batch in hand, the next on the way.

        0, which is no limit to the broker, when batches have none.
        """
        return 2 * (self.batches.max_size or 0)
