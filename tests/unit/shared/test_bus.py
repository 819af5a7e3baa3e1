"""How a bus treats the broker's confirms, in any order and form, and how it consumes."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from pika import SelectConnection
from pika.spec import Basic, BasicProperties

from shared.messaging.cloud_events import Message
from shared.rabbitmq import Bus, _Connection
from shared.topology import PROBE, Topology

URL = "amqp://guest:guest@127.0.0.1:1/"


class Broker:
    """A channel that only records what was published, and sends the confirms that a test says."""

    consumer_tags = ("one",)
    closed = False
    is_open = True

    def __init__(self, partitions: int = 1) -> None:
        self.later: list[Callable[[], None]] = []
        loop: Any = SimpleNamespace(call_later=lambda _, callback: self.later.append(callback))
        self.changes = 0
        self.bus = Bus(
            URL, "pagos", loop, self._changed, topology=Topology(partitions), topology_seconds=60, prefetch=200
        )
        self.published: list[str] = []
        self.acked: list[tuple[int, bool]] = []
        self.rejected: list[tuple[int, bool]] = []
        self.settled: dict[str, bool] = {}
        self.callbacks: dict[str, Callable[..., None]] = {}
        self.consumed: list[tuple[str, int]] = []  # each queue, with the prefetch
        self.cancelled: list[str] = []
        self.bus._opened(self)  # type: ignore[arg-type]

    def _changed(self) -> None:
        self.changes += 1

    def add_on_close_callback(self, callback: Callable[..., None]) -> None:
        self.callbacks["close"] = callback

    def add_on_cancel_callback(self, callback: Callable[..., None]) -> None:
        self.callbacks["cancel"] = callback

    def add_on_return_callback(self, callback: Callable[..., None]) -> None:
        self.callbacks["return"] = callback

    def confirm_delivery(self, callback: Callable[..., None]) -> None:
        self.callbacks["confirm"] = callback

    def exchange_declare(self, *_: Any, **__: Any) -> None:
        """Do nothing: the exchange exists."""

    queue_declare = queue_bind = queue_unbind = exchange_bind = exchange_declare

    def basic_qos(self, prefetch_count: int) -> None:
        self.prefetch = prefetch_count

    def add_callback(self, callback: Callable[..., None], _: object, one_shot: bool) -> None:
        assert not one_shot
        self.callbacks["cancelled"] = callback

    def basic_consume(
        self, queue: str, on_message: Callable[..., None], callback: Callable[..., None] | None, arguments: object
    ) -> str:
        assert (arguments is None) == (queue == "pagos"), "partitions have priorities"
        self.callbacks["message"] = on_message
        self.consumed.append((queue, self.prefetch))
        if callback is not None:
            callback(None)
        return f"{queue} {len(self.consumed)}"

    def basic_cancel(self, consumer: str, callback: Callable[..., None] | None = None) -> None:
        assert callback is not None, "the broker is to answer"
        self.cancelled.append(consumer)

    def basic_publish(self, _: str, __: str, ___: bytes, properties: BasicProperties, mandatory: bool) -> None:
        assert mandatory
        self.published.append(properties.message_id or "")

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        self.acked.append((tag, multiple))

    def basic_nack(self, tag: int, requeue: bool) -> None:
        self.rejected.append((tag, requeue))

    def publish(self, *ids: str) -> None:
        for each in ids:
            self.bus.publish(Message(each, "order.created", "", {}, b""), partial(self._settle, each))

    def _settle(self, message_id: str, there: bool) -> None:
        assert message_id not in self.settled, "it is told once"
        self.settled[message_id] = there

    def ack(self, tag: int, multiple: bool = False) -> None:
        self.callbacks["confirm"](SimpleNamespace(method=Basic.Ack(tag, multiple)))

    def nack(self, tag: int, multiple: bool = False) -> None:
        self.callbacks["confirm"](SimpleNamespace(method=Basic.Nack(tag, multiple)))

    def give_back(self, message_id: str) -> None:
        method = Basic.Return(312, "NO_ROUTE", "saga.events", "order.created")
        self.callbacks["return"](self, method, BasicProperties(message_id=message_id), b"")

    def deliver(self, *tags: int, consumer: str = "pagos 1") -> None:
        for tag in tags:
            self.callbacks["message"](
                self, Basic.Deliver(consumer, tag, False, "", "order.created"), BasicProperties(), b""
            )


@pytest.fixture
def broker() -> Broker:
    return Broker()


def test_confirms_may_come_in_any_order(broker: Broker) -> None:
    broker.publish("a", "b", "c")
    broker.ack(3)
    assert broker.settled == {"c": True}
    assert broker.bus.unconfirmed == 2
    broker.ack(1)
    broker.ack(2)
    assert broker.settled == {"a": True, "b": True, "c": True}
    assert broker.bus.unconfirmed == 0


def test_one_confirm_may_stand_for_all_until_it(broker: Broker) -> None:
    broker.publish("a", "b", "c", "d")
    broker.ack(2)
    broker.ack(3, multiple=True)
    assert broker.settled == {"a": True, "b": True, "c": True}
    assert broker.bus.unconfirmed == 1


def test_one_confirm_for_all_until_it_leaves_alone_what_was_confirmed_before(broker: Broker) -> None:
    broker.publish("a", "b", "c")
    broker.nack(1)
    broker.ack(3, multiple=True)
    assert broker.settled == {"a": False, "b": True, "c": True}


def test_what_the_broker_refuses_is_not_there(broker: Broker) -> None:
    broker.publish("a", "b", "c")
    broker.nack(2, multiple=True)
    broker.ack(3)
    assert broker.settled == {"a": False, "b": False, "c": True}


class Later(Broker):
    """A channel of the same connection that is opened later, for publishing alone."""

    def __init__(self, first: Broker) -> None:
        self.published, self.callbacks, self.settled, self.bus = [], {}, first.settled, first.bus

    def close(self) -> None:
        self.closed = True


def test_what_follows_a_refusal_is_published_on_another_channel(broker: Broker) -> None:
    """Since RabbitMQ 3.10 may go on refusing on the same one; messages are consumed as before."""
    opened: list[Callable[[Any], None]] = []
    connection: Any = SimpleNamespace(channel=lambda *, on_open_callback: opened.append(on_open_callback))
    broker.bus._connection = connection
    channels = [broker]
    for number in (1, 2):
        channels[-1].publish(f"a{number}", f"b{number}")
        channels[-1].nack(1)
        assert not broker.bus.ready
        channels[-1].ack(2)
        broker.publish(f"c{number}")
        assert [broker.settled[f"{name}{number}"] for name in "abc"] == [False, False, False]
        channels.append(Later(broker))
        opened.pop()(channels[-1])
        assert broker.bus.ready
    assert channels[1].closed, "but the first one, which has the consumers, is not"
    channels[-1].publish("d")
    channels[-1].ack(1)
    assert broker.settled["d"] is True
    assert [channel.published for channel in channels] == [["a1", "b1"], ["a2", "b2"], ["d"]]
    broker.deliver(1)
    broker.bus.ack(list(broker.bus.deliveries))
    assert broker.acked == [(1, True)]


def test_what_was_returned_is_not_there_though_it_is_confirmed(broker: Broker) -> None:
    broker.publish("a", "b", "c")
    broker.give_back("b")
    broker.ack(3, multiple=True)
    assert broker.settled == {"a": True, "b": False, "c": True}
    broker.publish("b2")
    broker.ack(4)
    assert broker.settled["b2"]


def test_a_message_that_was_returned_can_be_published_again(broker: Broker) -> None:
    broker.publish("a")
    broker.give_back("a")
    broker.ack(1)
    del broker.settled["a"]
    broker.publish("a")
    broker.ack(2)
    assert broker.settled == {"a": True}


def test_a_confirm_for_what_is_not_awaited_is_nothing(broker: Broker) -> None:
    broker.publish("a")
    broker.ack(1)
    broker.ack(1)
    broker.nack(9)
    broker.ack(9, multiple=True)
    assert broker.settled == {"a": True}


def test_what_was_not_confirmed_when_the_connection_ended_is_told_as_not_there(broker: Broker) -> None:
    broker.publish("a", "b")
    broker.ack(1)
    broker.bus._try_again(ConnectionError("gone"))
    assert broker.settled == {"a": True, "b": False}
    broker.publish("c")
    assert broker.settled["c"] is False, "there is no connection"


def test_what_is_acknowledged_in_one_goes_no_further_than_what_is_dealt_with(broker: Broker) -> None:
    broker.deliver(1, 2, 3, 4, 5)
    first, second, third, fourth, fifth = broker.bus.deliveries
    broker.bus.ack([second, first])
    broker.bus.ack([fifth, fourth])
    broker.bus.reject(third)
    assert broker.acked == [(2, True), (4, False), (5, False)]
    assert broker.rejected == [(3, False)]


def test_what_no_older_message_precedes_is_acknowledged_in_one_though_others_are_not(broker: Broker) -> None:
    broker.deliver(1, 2, 3, 4, 5)
    first, second, third, fourth, fifth = broker.bus.deliveries
    broker.bus.ack([fifth, second, first])
    broker.bus.ack([fourth, third])
    assert broker.acked == [(2, True), (5, False), (4, True)]


def test_what_was_lost_with_its_connection_is_not_acknowledged(broker: Broker) -> None:
    broker.deliver(1, 2)
    deliveries = list(broker.bus.deliveries)
    broker.bus._try_again(ConnectionError("gone"))
    broker.bus._opened(broker)  # type: ignore[arg-type]
    broker.bus.ack(deliveries)
    broker.bus.reject(deliveries[0])
    assert broker.acked == broker.rejected == []


def test_many_messages_are_prefetched_once_one_came_that_is_no_suspect(broker: Broker) -> None:
    assert broker.consumed == [("pagos", 1)]
    broker.deliver(1)
    assert broker.consumed == [("pagos", 1), ("pagos", 200)]
    broker.deliver(2, consumer="pagos 2")
    broker.deliver(3)
    assert len(broker.consumed) == 2


def test_the_first_message_of_a_partition_is_acknowledged_when_its_consumer_is_cancelled() -> None:
    """So no other worker has the next one before it is handled; and none before it is acknowledged."""
    broker = Broker(partitions=2)
    assert broker.consumed == [("pagos.1", 1), ("pagos.2", 1), ("pagos", 1)]
    broker.deliver(1, consumer="pagos.1 1")
    broker.deliver(2, consumer="pagos 3")
    first, second = broker.bus.deliveries
    assert broker.consumed[3:] == [("pagos", 200)]
    broker.bus.ack([first, second])
    assert broker.acked == [(2, False)]
    assert broker.cancelled == ["pagos.1 1"]
    broker.callbacks["cancelled"](SimpleNamespace(method=Basic.CancelOk("pagos.1 1")))
    assert broker.acked == [(2, False), (1, False)]
    assert broker.consumed[4:] == [("pagos.1", 200)]
    broker.deliver(3, 4, consumer="pagos.1 5")
    broker.bus.ack([*broker.bus.deliveries][2:])
    assert broker.acked[2:] == [(4, True)]


def test_a_message_that_shows_that_a_queue_exists_is_acknowledged_and_no_more(broker: Broker) -> None:
    method, properties = Basic.Deliver("pagos 1", 1, False, "", PROBE), BasicProperties(type=PROBE)
    broker.callbacks["message"](broker, method, properties, b"")
    assert broker.acked == [(1, False)]
    assert not broker.bus.deliveries
    assert broker.consumed == [("pagos", 1)]


def test_with_another_connection_the_topology_is_declared_on_another_channel(broker: Broker) -> None:
    opened: list[Callable[[Any], None]] = []
    connection: Any = SimpleNamespace(channel=lambda *, on_open_callback: opened.append(on_open_callback))
    broker.bus._connection = connection
    broker.later.pop()()
    opened[0](Later(broker))
    broker.later.pop()()
    assert len(opened) == 1, "the channel is kept"
    broker.bus._try_again(ConnectionError("gone"))
    broker.later.pop()  # connects, in earnest
    broker.bus._opened(broker)  # type: ignore[arg-type]
    broker.bus._connection = connection
    broker.later.pop()()
    assert len(opened) == 2


def test_the_frames_of_one_round_of_the_loop_are_sent_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    later: list[Callable[[], None]] = []
    connection = _Connection.__new__(_Connection)
    connection._frames = []
    monkeypatch.setattr(_Connection, "ioloop", SimpleNamespace(call_later=lambda _, send: later.append(send)))
    monkeypatch.setattr(_Connection, "is_closed", False)
    monkeypatch.setattr(SelectConnection, "_adapter_emit_data", lambda _, data: sent.append(data))
    for frame in (b"a", b"b", b"c"):
        connection._adapter_emit_data(frame)
    assert not sent
    (send,) = later
    send()
    assert sent == [b"abc"]
    connection._adapter_emit_data(b"d")
    later.pop()()
    assert sent == [b"abc", b"d"]
