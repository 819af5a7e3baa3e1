"""How many messages a consumer waits for, and which it acknowledges together."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from shared.batching.policy import BatchPolicy
from shared.event_bus import Event, OrderCreateFailed, Payload
from shared.ids import new_id
from shared.messaging.consumer import Consumer
from shared.messaging.delivery import Delivery
from shared.messaging.subscription import Subscription
from tests.system.toys import reserved

NOTHING: Any = None


class Queue:
    """A consumer and its waiting messages."""

    def __init__(self, subscription: Subscription = Subscription(NOTHING, NOTHING)) -> None:  # noqa: B008  (frozen)
        self.deliveries = deque[Delivery]()
        bus: Any = SimpleNamespace(deliveries=self.deliveries)
        self.consumer = Consumer(NOTHING, subscription, bus, NOTHING, NOTHING)

    def come(self, count: int) -> bool:
        """Add so many messages; return whether the consumer waits for more."""
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


def failed() -> OrderCreateFailed:
    return OrderCreateFailed(saga_id=new_id(), cart_id=new_id(), reason="no such cart")


class Transactions:
    """A database, a bus and a publisher that record what was handled and acknowledged; `fails` names an event type."""

    service = "pagos"

    def __init__(self, fails: str = "") -> None:
        self.deliveries = deque[Delivery]()
        self.acknowledged: list[list[int]] = []
        self._fails = fails
        bus: Any = SimpleNamespace(deliveries=self.deliveries, ack=self._ack)
        publisher: Any = SimpleNamespace(stage=lambda *_: None, publish_staged=lambda _: None)
        database: Any = self
        self.consumer = Consumer(database, Subscription(NOTHING, self._handle), bus, NOTHING, publisher)

    def _ack(self, deliveries: list[Delivery]) -> None:
        self.acknowledged.append([delivery.tag for delivery in deliveries])

    def _handle(self, _: Any, events: Sequence[Event]) -> list[Event]:
        if events[0].event_type.name == self._fails:
            raise OperationalError("", None, psycopg2.OperationalError("server closed the connection"))
        return []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def come(self, *payloads: Payload) -> None:
        for tag, payload in enumerate(payloads):
            delivery = Delivery(tag, {}, "application/json", b"", "")
            delivery.event = Event(payload)
            self.deliveries.append(delivery)


def test_a_batch_is_acknowledged_at_once_however_many_transactions_it_takes() -> None:
    world = Transactions()
    world.come(reserved(), failed(), reserved(), failed())
    world.consumer.consume()
    assert world.acknowledged == [[0, 2, 1, 3]]


def test_what_is_committed_is_acknowledged_though_the_database_goes_away_then() -> None:
    world = Transactions(fails="order.create.failed")
    world.come(reserved(), failed(), reserved())
    with pytest.raises(OperationalError):
        world.consumer.consume()
    assert world.acknowledged == [[0, 2]]
    assert [delivery.tag for delivery in world.deliveries] == [1], "it waits"


def test_a_batch_that_is_closed_by_what_comes_is_closed_when_it_is_full_too() -> None:
    queue = Queue(Subscription(NOTHING, NOTHING, closes=lambda _: False, batches=BatchPolicy(max_size=3)))
    assert queue.come(2)
    assert not queue.come(1)
