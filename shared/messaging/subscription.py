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
    """Split into lists of one type and of different sagas each, so that handlers lock rows in one order.

    The messages of a saga keep their order.
    """
    for part in partition_unique(batch, lambda delivery: delivery.known.saga_id):
        of_type = defaultdict[type, list[Delivery]](list)
        for delivery in part:
            of_type[type(delivery.known.payload)].append(delivery)
        yield from of_type.values()


def all_together(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """Put all messages into one transaction; for a handler that locks its rows in one order."""
    return [list(batch)] if batch else []


@dataclass(frozen=True)
class Subscription:
    """A service's part in the choreography: its handler of events, and the outbox for those that follow.

    `batches` decides when a batch is closed. With `closes`, a batch is closed when that returns True, when it has
    `batches.max_size` messages, or after `batches.max_wait` seconds.
    """

    outbox: Outbox
    handle: Handle
    split: Split = by_type
    closes: Closes | None = None
    batches: BatchPolicy = BATCHES
    faults: MessageFaults | None = None  # the faults that happen to its messages, with `FAULTS=true`

    @property
    def prefetch(self) -> int:
        """The most unacknowledged messages of a process: those of the present batch and of the next one.

        0, which is no limit to the broker, when batches have none.
        """
        return 2 * (self.batches.max_size or 0)
