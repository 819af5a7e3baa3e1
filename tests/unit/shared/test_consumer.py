"""How many messages a consumer waits for."""

from collections import deque
from types import SimpleNamespace
from typing import Any

from shared.event_bus import Event
from shared.messaging.consumer import Consumer, Subscription
from shared.messaging.delivery import Delivery
from tests.system.toys import reserved

NOTHING: Any = None


class Queue:
    """A consumer, and what waits for it."""

    def __init__(self) -> None:
        self.deliveries = deque[Delivery]()
        bus: Any = SimpleNamespace(deliveries=self.deliveries)
        self.consumer = Consumer(NOTHING, Subscription(NOTHING, NOTHING), bus, NOTHING, NOTHING)

    def come(self, count: int) -> bool:
        """So many messages; whether more are waited for."""
        for number in range(count):
            delivery = Delivery(number, {}, "application/json", b"", "inventory.reserved")
            delivery.event = Event(reserved())
            self.deliveries.append(delivery)
        return self.consumer.should_wait

    def take(self) -> int:
        return sum(map(len, self.consumer._parts()))


def test_what_comes_alone_is_taken_at_once() -> None:
    queue = Queue()
    assert not queue.consumer.should_wait
    assert not queue.come(1)
    assert queue.take() == 1
    assert not queue.come(1)


def test_after_many_as_many_are_waited_for() -> None:
    queue = Queue()
    assert not queue.come(5)
    assert queue.take() == 5
    assert [queue.come(count) for count in (1, 3, 1)] == [True, True, False]
    assert queue.take() == 5
    assert not queue.consumer.should_wait, "for there is nothing"
