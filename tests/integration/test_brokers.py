"""The brokers of single tests and modules do what their methods promise."""

import threading

import pika
import pytest
from pika.exceptions import AMQPError

from shared.testing import wait_until
from stack import rabbitmq
from tests.system.brokers import Broker, OwnBroker
from tests.system.queues import Message, Queues


def test_two_tests_do_not_see_each_others_messages(rabbitmq_url: str, broker: Broker) -> None:
    other = broker.create()
    for url in (rabbitmq_url, other):
        Queues(url).tap("all")
    Queues(rabbitmq_url).publish("checkout.initiated", Message(b"one"))
    assert Queues(rabbitmq_url).depth("all") == 1
    assert Queues(other).depth("all") == 0
    broker.drop(other)


def test_a_virtual_host_goes_with_all_that_is_in_it(broker: Broker) -> None:
    url = broker.create()
    connection = pika.BlockingConnection(pika.URLParameters(url))
    broker.drop(url)
    with pytest.raises(AMQPError):
        connection.process_data_events(time_limit=30)
    assert not rabbitmq.is_ready(url)


def test_messages_are_taken_as_they_were_published(rabbitmq_url: str) -> None:
    queues = Queues(rabbitmq_url)
    queues.tap("all")
    sent = Message(b"one", pika.BasicProperties(message_id="1", headers={"a": "b"}, delivery_mode=2))
    queues.publish("payment.failed", sent)
    queues.publish("all", Message(b"two"), exchange="")
    first, second = queues.take("all")
    assert (first.body, first.properties.message_id, first.properties.headers) == (b"one", "1", {"a": "b"})
    assert second.body == b"two"
    assert queues.depth("all") == 0


def test_a_stopped_broker_refuses_connections_and_keeps_its_messages(own_rabbitmq: OwnBroker) -> None:
    url = own_rabbitmq.create()
    Queues(url).tap("all")
    Queues(url).publish("payment.failed", Message(b"one"))
    own_rabbitmq.stop()
    assert not rabbitmq.is_ready(url)
    own_rabbitmq.start()
    assert [message.body for message in Queues(url).take("all")] == [b"one"]


def test_a_killed_broker_drops_its_connections_and_comes_back(own_rabbitmq: OwnBroker) -> None:
    url = own_rabbitmq.create()
    connection = pika.BlockingConnection(pika.URLParameters(url))
    own_rabbitmq.kill()
    with pytest.raises(AMQPError):
        connection.process_data_events(time_limit=30)
    own_rabbitmq.start()
    assert rabbitmq.is_ready(url)


def test_a_frozen_broker_answers_when_it_is_thawed(own_rabbitmq: OwnBroker) -> None:
    url = own_rabbitmq.create()
    Queues(url).tap("all")
    publishing = threading.Thread(target=Queues(url).publish, args=("payment.failed", Message(b"one")))
    with own_rabbitmq.frozen():
        publishing.start()
        publishing.join(0.3)
        assert publishing.is_alive()
    publishing.join(30)
    wait_until(lambda: Queues(url).depth("all") == 1, "it was published")
