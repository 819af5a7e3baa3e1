"""The topology as workers declare it, for tests that publish before any worker runs."""

from shared.event_bus import bindings
from shared.messaging.topology_declaration import declare
from shared.rabbitmq import _channel
from shared.topology import Topology


def declare_topology(url: str, topology: Topology | None = None) -> None:
    """Declare the exchange, all queues with their bindings, and the queues of dead letters."""
    with _channel(url) as channel:
        declare(channel, bindings(), topology or Topology())
