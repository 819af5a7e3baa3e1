"""The consumers that one channel has at the broker, and how many messages each of them gets at once."""

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

from shared.messaging.delivery import Delivery

Agreed = Callable[[Any], None]
PRIORITIES = (1, 1000)  # of consumers of partitions: each is drawn from this range


class BeginConsumer(Protocol):
    """How a channel begins to consume."""

    def __call__(self, queue: str, prefetch: int, priority: int | None, agreed: Agreed | None, /) -> str:
        """Begin to consume a queue, with at most `prefetch` unacknowledged messages; return the consumer's tag.

        `agreed` is called with the broker's answer. Of a queue's consumers, the one with the highest priority is active
        if only one can be.
        """


class ChannelConsumers:
    """The consumers of a channel, one for each queue, which get one message at a time at first.

    Requeued messages come first, so that poison among them kills alone. At a message that is no suspect, a consumer
    with the whole prefetch follows.

    A partition is `ordered`: it has one active consumer among all workers. So there the first consumer is cancelled,
    and only then is its message acknowledged; else another worker might handle the next one before it. Random
    priorities spread the partitions over the workers (RabbitMQ 4; before, the first worker gets all).
    """

    def __init__(
        self,
        prefetch: int,
        begin: BeginConsumer,
        cancel: Callable[[str], None],
        acknowledge: Callable[[int], None],
    ) -> None:
        """`cancel` has the broker cancel the consumer with this tag; call `cancelled` when it has done so."""
        self.closing = False  # whether no further consumer may begin
        self._prefetch, self._begin, self._cancel, self._acknowledge = prefetch, begin, cancel, acknowledge
        self._cautious: dict[str, tuple[str, bool]] = {}  # consumer tag -> queue, and whether it is ordered
        self._first: dict[int, str] = {}  # delivery tag -> the consumer to be cancelled before it is acknowledged
        self._cancelling: dict[str, int] = {}  # the reverse, once it is being cancelled
        self._priority = defaultdict[str, int](lambda: random.randint(*PRIORITIES))  # noqa: S311  (no secret)

    def consume(self, queue: str, *, ordered: bool, agreed: Agreed | None = None) -> None:
        """Begin to consume a queue; `agreed` is called with the broker's answer."""
        tag = self._consume(queue, 1, ordered=ordered, agreed=agreed)
        self._cautious[tag] = queue, ordered

    def delivered(self, consumer: str, delivery: Delivery) -> None:
        """Note that a consumer got a message."""
        if consumer in self._cautious and not delivery.suspect:
            queue, ordered = self._cautious[consumer]
            if ordered:
                self._first[delivery.tag] = consumer
            else:
                del self._cautious[consumer]
                self._consume(queue, self._prefetch, ordered=False)

    def acknowledge_later(self, tags: set[int]) -> set[int]:
        """Return those of these messages that are acknowledged here, when their consumers are cancelled."""
        later = tags & self._first.keys()
        for tag in later:
            consumer = self._first.pop(tag)
            self._cancelling[consumer] = tag
            self._cancel(consumer)
        return later

    def cancelled(self, consumer: str) -> None:
        """Acknowledge the message that the cancelled consumer got, and have one with the whole prefetch follow."""
        if consumer in self._cancelling:
            self._acknowledge(self._cancelling.pop(consumer))
            queue, ordered = self._cautious.pop(consumer)
            if not self.closing:
                self._consume(queue, self._prefetch, ordered=ordered)

    def _consume(self, queue: str, prefetch: int, *, ordered: bool, agreed: Agreed | None = None) -> str:
        return self._begin(queue, prefetch, self._priority[queue] if ordered else None, agreed)
