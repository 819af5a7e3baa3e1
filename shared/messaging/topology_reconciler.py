"""Declares the topology again while a worker runs, in case somebody has removed a part of it, and finds partitions.

A number of partitions that is wanted no longer leaves queues behind, which are read as long as they exist.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import structlog

from shared.event_bus import bindings
from shared.ids import new_id
from shared.messaging.cloud_events import Message
from shared.messaging.topology_declaration import TopologyChannel, declare, retire_partitions
from shared.topology import PROBE, Topology, partition_queue

log = structlog.get_logger()


class ReconciledBus(Protocol):
    """What is needed of the connection to the broker."""

    @property
    def ready(self) -> bool:
        """Whether messages can be published now."""

    @property
    def closing(self) -> bool:
        """Whether no further queue is to be consumed."""

    def open_channel(
        self,
        opened: Callable[[TopologyChannel], None],
        closed: Callable[[TopologyChannel, Exception | None], None],
    ) -> None:
        """Open another channel; `closed` is called with the error because of which it was closed, if there was one."""

    def publish(self, message: Message, settled: Callable[[bool], None], queue: str) -> None:
        """Publish directly to a queue; `settled` is called with whether the queue has the message."""

    def consume_partition(self, queue: str) -> None:
        """Begin to consume a partition."""


class TopologyReconciler:
    """The topology of one worker, which it declares every `seconds`, on a separate channel: a failure closes that."""

    def __init__(
        self,
        bus: ReconciledBus,
        queue: str,
        topology: Topology,
        call_later: Callable[[float, Callable[[], None]], object],
        seconds: float,
    ) -> None:
        self._bus, self._queue, self._topology, self._call_later = bus, queue, topology, call_later
        self._partitions = topology.partitioned  # how many partitions are consumed; all that exist, soon
        self._channel: TopologyChannel | None = None
        self._seconds = seconds
        self._noted = False  # whether all is to be declared again
        call_later(seconds, self._check)

    def unroutable(self) -> None:
        """Declare the queues of all services again, later: a message was returned, so somebody has removed one.

        Its own workers make it again as soon as the broker tells them. A queue that others make again before that has
        consumers that get nothing and are told nothing (seen with RabbitMQ 3.10: quorum queues).
        """
        if not self._noted:
            self._noted = True
            self._call_later(self._seconds, self._declare_all)

    def connection_ended(self) -> None:
        """Begin anew: with the next connection, only the partitions that are wanted are consumed at first."""
        self._partitions, self._channel = self._topology.partitioned, None

    def _declare_all(self) -> None:
        self._noted = False
        self._declare(bindings())

    def _check(self) -> None:
        """Declare the queue again, periodically: a missing binding has no sign, since other queues get the messages."""
        if not self._bus.closing:
            self._call_later(self._seconds, self._check)
            self._declare([self._queue])
            self._look_for_partition()

    @property
    def _next_partition(self) -> str:
        return partition_queue(self._queue, self._partitions + 1)

    def _look_for_partition(self) -> None:
        """Send a message to the next partition's queue; the broker returns it when there is none."""
        if self._bus.ready:
            queue = self._next_partition
            probe = Message(str(new_id()), PROBE, "", {}, b"", content_type=None)
            self._bus.publish(probe, partial(self._looked, queue), queue)

    def _looked(self, queue: str, there: bool) -> None:
        """Consume a partition that is there, though it is not wanted, and look for the next."""
        if there and self._bus.ready and not self._bus.closing and queue == self._next_partition:
            log.info("reading a former partition", queue=queue)
            self._partitions += 1
            self._bus.consume_partition(queue)
            self._declare([self._queue])
            self._look_for_partition()

    def _declare(self, services: Iterable[str]) -> None:
        if not self._bus.ready:
            return
        if self._channel is None:
            self._bus.open_channel(partial(self._opened, services), self._closed)
        elif self._channel.is_open:
            self._declare_on(self._channel, services)

    def _opened(self, services: Iterable[str], channel: TopologyChannel) -> None:
        self._channel = channel
        self._declare_on(channel, services)

    def _declare_on(self, channel: TopologyChannel, services: Iterable[str]) -> None:
        declare(channel, services, self._topology)
        retire_partitions(channel, self._queue, self._topology, self._partitions)

    def _closed(self, channel: TopologyChannel, error: Exception | None) -> None:
        if channel is self._channel:
            self._channel = None
            if error is not None:
                log.warning("topology not declared", error=str(error))
