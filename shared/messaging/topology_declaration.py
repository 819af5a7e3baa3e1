"""Declares the topology (`shared/topology.py`) at the broker. What exists stays as it is.

A channel of an event loop does not wait for answers: the broker closes the channel when a declaration fails.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from shared.event_bus import EXCHANGE, bindings
from shared.topology import (
    BY_SAGA,
    HASH,
    WEIGHT,
    Topology,
    dead_queue,
    fallback_exchange,
    partition_exchange,
    partition_queue,
)


class TopologyChannel(Protocol):
    """What is needed of a channel, either of an event loop or a blocking one."""

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""

    def exchange_declare(
        self, exchange: str, exchange_type: str, /, *, durable: bool, arguments: Mapping[str, Any] | None = None
    ) -> object:
        """Declare an exchange."""

    def exchange_bind(self, destination: str, source: str, routing_key: str, /) -> object:
        """Bind an exchange to another one."""

    def queue_declare(self, queue: str, /, *, durable: bool, arguments: Mapping[str, Any]) -> object:
        """Declare a queue."""

    def queue_bind(self, queue: str, exchange: str, routing_key: str | None = None, /) -> object:
        """Bind a queue to an exchange."""

    def queue_unbind(self, queue: str, exchange: str, routing_key: str, /) -> object:
        """Remove such a binding."""


def declare(channel: TopologyChannel, services: Iterable[str], topology: Topology) -> None:
    """Declare the exchange, and these services' queues with their bindings.

    The bindings of an event follow each other: it goes to the queues that are bound at its moment, and counts as
    published when that is one.
    """
    services = list(services)
    channel.exchange_declare(EXCHANGE, "topic", durable=True)
    for service in services:
        channel.queue_declare(dead_queue(service), durable=True, arguments=topology.dead_letters())
        channel.queue_declare(service, durable=True, arguments=topology.queue(service))
    if topology.partitioned:
        for service in services:
            _declare_partitions(channel, service, topology)
        return
    for name, queue in sorted((name, service) for service in services for name in bindings()[service]):
        channel.queue_bind(queue, EXCHANGE, name)


def _declare_partitions(channel: TopologyChannel, service: str, topology: Topology) -> None:
    """Declare and bind a service's partitions, and then unbind its queue."""
    exchange, fallback = partition_exchange(service), fallback_exchange(service)
    channel.exchange_declare(fallback, "fanout", durable=True)
    channel.queue_bind(service, fallback)
    arguments = {**BY_SAGA, "alternate-exchange": fallback}
    channel.exchange_declare(exchange, HASH, durable=True, arguments=arguments)
    for number in range(1, topology.partitioned + 1):
        queue = partition_queue(service, number)
        channel.queue_declare(queue, durable=True, arguments=topology.partition(service))
        channel.queue_bind(queue, exchange, WEIGHT)
    for name in bindings()[service]:
        channel.exchange_bind(exchange, EXCHANGE, name)
    for name in bindings()[service]:
        channel.queue_unbind(service, EXCHANGE, name)


def retire_partitions(channel: TopologyChannel, service: str, topology: Topology, existing: int) -> None:
    """Unbind those of a service's `existing` partitions that are no longer wanted.

    The exchange before them stays bound. With no partition left, it passes all messages on to the service's queue.
    """
    for number in range(topology.partitioned + 1, existing + 1):
        channel.queue_unbind(partition_queue(service, number), partition_exchange(service), WEIGHT)
