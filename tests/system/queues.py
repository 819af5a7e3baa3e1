"""Reads a broker's queues, and publishes messages there by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pika
from pika.adapters.blocking_connection import BlockingChannel

from shared.event_bus import EXCHANGE


class Message(NamedTuple):
    """A message in a queue."""

    body: bytes
    properties: pika.BasicProperties = pika.BasicProperties(delivery_mode=2)


class Queues:
    """The queues of a virtual host, with a connection for each call, since the broker may be restarted in between."""

    def __init__(self, url: str) -> None:
        self._url = url

    def depth(self, queue: str) -> int:
        """Return the number of messages that are ready, without unacknowledged ones."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self, queue: str) -> int:
        """Return the number of its consumers."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.consumer_count)

    def publish(self, routing_key: str, message: Message, exchange: str = EXCHANGE) -> None:
        """Publish a message, and return when the broker has it; into one queue by `exchange=""` and its name."""
        with self._channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(exchange, routing_key, message.body, message.properties, mandatory=True)

    def take(self, queue: str) -> list[Message]:
        """Take all ready messages out of the queue."""
        with self._channel() as channel:
            found: list[Message] = []
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                found.append(Message(got[2], got[1]))
            return found

    def tap(self, queue: str, *routing_keys: str) -> None:
        """Create a durable queue that gets a copy of every event (with one of these routing keys) from now on."""
        with self._channel() as channel:
            channel.exchange_declare(EXCHANGE, "topic", durable=True)
            channel.queue_declare(queue, durable=True)
            for routing_key in routing_keys or ("#",):
                channel.queue_bind(queue, EXCHANGE, routing_key)

    def delete(self, queue: str) -> None:
        """Delete a queue with all that is in it."""
        with self._channel() as channel:
            channel.queue_delete(queue)

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()
