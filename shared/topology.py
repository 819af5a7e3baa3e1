"""Names and arguments of exchanges and queues at the broker; declared in `shared/messaging`.

With one partition, a service's queue is bound to the exchange of events, and the service's workers are competing
consumers. With n partitions, a consistent-hash exchange is bound to it, which spreads the service's messages over n
queues by saga. Each of these queues has one consumer at a time, so the messages of a saga are delivered in order; one
that is tried again may be overtaken. The service's own queue stays, for messages that are left in it and for redriven
messages.

The number may change at any time, also while messages are in flight. New bindings are made before old ones are removed,
so a message may arrive twice, which the inbox notices. Queues without bindings are consumed as long as they exist.

Workers with different numbers remove each other's bindings. No order of that loses a message: the consistent-hash
exchange stays bound once it exists, and its alternate exchange takes to the service's queue what has no partition.
"""

from dataclasses import dataclass
from typing import Any

from shared.config import ServiceSettings

MOST_DELIVERIES = 100  # of a message that kills each consumer before it is read; others are parked long before
LOOKS = 1_000_000  # at a dead letter: each counts as a delivery, and by default the broker drops a message after twenty
HASH = "x-consistent-hash"  # a type of exchange, from a plugin that RabbitMQ contains
BY_SAGA = {"hash-header": "ce-subject"}
WEIGHT = "1"  # the routing key of a queue's binding to such an exchange: its share of the messages
PROBE = "partition.probe"  # the type of a message that tests whether a queue exists; consumers drop it


@dataclass(frozen=True)
class Topology:
    """How the queues of all services are declared; all workers must have the same settings.

    A new queue has `replicas` members, at most as many as the cluster has nodes; None means the broker's default, which
    is 3. An existing queue keeps its members, and can't be declared with another number.
    """

    partitions: int = 1
    replicas: int | None = None

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Topology":
        """Return the topology with these settings."""
        return cls(settings.partitions, settings.queue_replicas)

    @property
    def partitioned(self) -> int:
        """The number of a service's partition queues; 0 with one partition, which is the service's own queue."""
        return self.partitions if self.partitions > 1 else 0

    def queue(self, service: str) -> dict[str, Any]:
        """Return the arguments of a service's queue."""
        return {
            **self._quorum(MOST_DELIVERIES),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead_queue(service),
        }

    def partition(self, service: str) -> dict[str, Any]:
        """Return the arguments of a partition's queue; the leaders of many queues are spread over the nodes."""
        return {**self.queue(service), "x-single-active-consumer": True, "x-queue-leader-locator": "balanced"}

    def dead_letters(self) -> dict[str, Any]:
        """Return the arguments of a queue of dead letters."""
        return self._quorum(LOOKS)

    def _quorum(self, most_deliveries: int) -> dict[str, Any]:
        members = {} if self.replicas is None else {"x-quorum-initial-group-size": self.replicas}
        return {"x-queue-type": "quorum", "x-delivery-limit": most_deliveries, **members}


def dead_queue(service: str) -> str:
    """Return the name of a service's queue of dead letters."""
    return f"{service}.dead"


def partition_exchange(service: str) -> str:
    """Return the name of the exchange that spreads a service's messages over its partitions."""
    return f"{service}.partitions"


def fallback_exchange(service: str) -> str:
    """Return the name of the exchange through which the service's queue gets messages while no partition is bound."""
    return f"{service}.unpartitioned"


def partition_queue(service: str, number: int) -> str:
    """Return the name of a partition's queue. Numbers begin with 1, without gaps."""
    return f"{service}.{number}"
