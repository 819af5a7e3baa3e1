"""How many messages a queue's consumer gets at once, and when its first one is acknowledged."""

from shared.messaging.channel_consumers import Agreed, ChannelConsumers
from shared.messaging.delivery import Delivery

PREFETCH = 200
SUSPECT = {"x-delivery-count": 2, "x-acquired-count": 2}


class Channel:
    """Records what is requested of the broker."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []  # each queue, with the prefetch
        self.priorities: list[int | None] = []
        self.cancelling: list[str] = []
        self.acknowledged: list[int] = []
        self.consumers = ChannelConsumers(PREFETCH, self._begin, self.cancelling.append, self.acknowledged.append)

    def _begin(self, queue: str, prefetch: int, priority: int | None, agreed: Agreed | None) -> str:
        self.begun.append((queue, prefetch))
        self.priorities.append(priority)
        if agreed is not None:
            agreed(None)
        return f"{queue} {len(self.begun)}"

    def deliver(self, consumer: str, tag: int, headers: dict[str, int] | None = None) -> None:
        self.consumers.delivered(consumer, Delivery(tag, headers or {}, None, b"", "", redelivered=True))


def test_a_queue_gets_the_whole_prefetch_at_the_first_message_that_is_no_suspect() -> None:
    channel = Channel()
    agreed: list[object] = []
    channel.consumers.consume("pagos", ordered=False, agreed=agreed.append)
    assert agreed == [None]
    channel.deliver("pagos 1", 1, SUSPECT)
    assert channel.begun == [("pagos", 1)]
    channel.deliver("pagos 1", 2)
    channel.deliver("pagos 1", 3)
    channel.deliver("pagos 2", 4)
    assert channel.begun == [("pagos", 1), ("pagos", PREFETCH)]
    assert channel.priorities == [None, None]
    assert channel.consumers.acknowledge_later({1, 2, 3, 4}) == set()


def test_a_partition_s_first_message_is_acknowledged_between_its_two_consumers() -> None:
    channel = Channel()
    channel.consumers.consume("pagos.1", ordered=True)
    channel.consumers.consume("pagos.2", ordered=True)
    channel.deliver("pagos.1 1", 1)
    assert channel.consumers.acknowledge_later({1, 7}) == {1}
    assert (channel.cancelling, channel.acknowledged) == (["pagos.1 1"], [])
    assert channel.consumers.acknowledge_later({1, 7}) == set()
    channel.consumers.cancelled("pagos.2 2")
    assert channel.acknowledged == [], "another one is cancelled, as when the worker stops"
    channel.consumers.cancelled("pagos.1 1")
    assert channel.acknowledged == [1]
    assert channel.begun[2:] == [("pagos.1", PREFETCH)]
    first, other, again = channel.priorities
    assert first == again is not None
    assert other is not None


def test_a_suspect_of_a_partition_is_acknowledged_at_once_and_changes_nothing() -> None:
    channel = Channel()
    channel.consumers.consume("pagos.1", ordered=True)
    channel.deliver("pagos.1 1", 1, SUSPECT)
    assert channel.consumers.acknowledge_later({1}) == set()
    assert channel.cancelling == []


def test_no_consumer_follows_once_the_worker_stops() -> None:
    channel = Channel()
    channel.consumers.consume("pagos.1", ordered=True)
    channel.deliver("pagos.1 1", 1)
    channel.consumers.acknowledge_later({1})
    channel.consumers.closing = True
    channel.consumers.cancelled("pagos.1 1")
    assert channel.acknowledged == [1]
    assert channel.begun == [("pagos.1", 1)]
