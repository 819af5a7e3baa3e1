"""The only module that imports pika: the connection that consumes and publishes, and single calls of the broker."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pika
import pika.data
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.channel import Channel
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ChannelClosedByClient,
    ConnectionBlockedTimeout,
    ConnectionClosed,
    UnroutableError,
)
from pika.spec import Basic, BasicProperties

from shared.broker_nodes import NodeRotation, node_urls, place
from shared.config import ServiceSettings
from shared.event_bus import EXCHANGE, bindings
from shared.messaging.channel_consumers import Agreed, ChannelConsumers
from shared.messaging.cloud_events import Message
from shared.messaging.delivery import Delivery
from shared.messaging.field_tables import decode_table
from shared.messaging.parking import DeadLetter, short, unparked
from shared.messaging.publisher_confirms import PublisherConfirms
from shared.messaging.topology_declaration import declare
from shared.messaging.topology_reconciler import TopologyReconciler
from shared.messaging.unacknowledged import Unacknowledged
from shared.process import heartbeat
from shared.topology import PROBE, Topology, partition_queue

HEARTBEAT_SECONDS = 30  # unless the URL names them (`?heartbeat=10`)
ANSWER_SECONDS = 2  # time limit of calls for which somebody waits
PING_BLOCKED_SECONDS = 0.1  # a broker that reports an alarm does so at once
NOWHERE = "health"  # a routing key without a queue: the broker drops the message
BLOCKED_SECONDS = 60  # after so long without memory or disk, connect again
ROUNDS_SAID = 5  # over all nodes, some three seconds: the restart of a broker is not reported
HANDSHAKE_SECONDS = 5.0  # with one of several nodes: a frozen one accepts connections, and answers nothing
MANDATORY = True
# The decoder of message headers for every connection; pika has no setting for it.
pika.data.decode_table = decode_table  # type: ignore[assignment]  # its names are always strings
log = structlog.get_logger()


class Loop(IOLoop):
    """The event loop of the connection, and of all else that the process waits for.

    An error that a callback raises goes to `on_error`; it stops neither the other callbacks nor the loop.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        super().__init__()
        self._on_error = on_error

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:
        """Call this after so many seconds; returns a handle for `remove_timeout`."""
        return super().call_later(delay, partial(self._call, callback))

    def add_callback_threadsafe(self, callback: Callable[[], object]) -> None:
        """Call this soon; may be used from any thread."""
        super().add_callback_threadsafe(partial(self._call, callback))

    add_callback = add_callback_threadsafe

    def add_handler(self, fd: int, handler: Callable[[int, int], None], events: int) -> None:
        """Call this with the descriptor and its events whenever one of these events happens."""
        super().add_handler(fd, partial(self._call, handler), events)

    def _call(self, callback: Callable[..., object], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            self._on_error(error)


class _Connection(pika.SelectConnection):
    """A connection that can be ended without the broker's answer, and that sends many frames in one system call.

    pika makes a system call for each frame, and a published message has three.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._frames: list[bytes] = []  # to send in the next round of the loop
        super().__init__(*arguments, **options)

    def abort(self, error: Exception) -> None:
        """End the connection and drop its buffers; it is closed soon."""
        self._terminate_stream(error)  # type: ignore[attr-defined]  # missing in the stubs

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._frames:
            self.ioloop.call_later(0, self._send)
        self._frames.append(data)

    def _send(self) -> None:
        data = b"".join(self._frames)
        self._frames.clear()
        if not self.is_closed:
            super()._adapter_emit_data(data)  # type: ignore[misc]  # missing in the stubs


def rabbitmq_check(settings: ServiceSettings) -> Mapping[str, Callable[[], None]]:
    """Return the health check of the broker, if the service has one (`RABBITMQ_URL`)."""
    url = settings.rabbitmq_url
    return {} if url is None else {"rabbitmq": lambda: ping(url)}


def ping(url: str) -> None:
    """Raise `ConnectionError` when the broker does not answer in time, or accepts no messages.

    A broker without memory or disk reads nothing more from a connection that has published, so it does not answer the
    call after the publishing.
    """
    with _channel(url, PING_BLOCKED_SECONDS) as channel:
        channel.basic_publish("", NOWHERE, b"")
        channel.basic_qos(prefetch_count=1)


def can_connect(url: str, seconds: float) -> bool:
    """Whether a connection to the broker, with its user and virtual host, opens within so many seconds."""
    try:
        with _channel(url, seconds=seconds):
            return True
    except (ConnectionError, LookupError):
        return False


class Bus:
    """One connection to the broker, in one thread: `deliveries` has the messages received, publishing is confirmed.

    `changed` is called when there may be work: messages or confirms arrived, or the connection opened or closed. It
    must only schedule the work.

    Every `topology_seconds` the queue and its bindings are declared again, in case somebody has removed them, and
    partitions are looked for that are there since another number of them was wanted. At most `prefetch` messages of
    each queue are unacknowledged.
    """

    def __init__(  # noqa: PLR0913
        self,
        url: str,
        queue: str,
        loop: Loop,
        changed: Callable[[], None],
        *,
        topology: Topology,
        topology_seconds: float,
        prefetch: int,
    ) -> None:
        self.deliveries: deque[Delivery] = deque()
        self.closing = False  # whether the connection is to end for good
        self._queue, self._loop, self._changed, self._prefetch = queue, loop, changed, prefetch
        self._topology = topology
        self._reconciler = TopologyReconciler(self, queue, topology, loop.call_later, topology_seconds)
        self._nodes = NodeRotation(url)
        self._several = len(node_urls(url)) > 1
        self._connection: _Connection | None = None
        self._channel: Channel | None = None  # on which the broker delivers
        self._publishing: Channel | None = None  # the same one, until the broker refuses a message
        self._blocked = False
        self._cause: BaseException | None = None  # why the broker closed the channel; the connection ends with it
        self._consumers: ChannelConsumers | None = None
        self._unacknowledged = Unacknowledged()
        self._confirms = PublisherConfirms()

    @property
    def ready(self) -> bool:
        """Whether messages can be published and acknowledged now."""
        return self._channel is not None and self._publishing is not None and not self._blocked

    @property
    def unconfirmed(self) -> int:
        """The number of published messages without a confirm."""
        return len(self._confirms)

    @property
    def closed(self) -> bool:
        """Whether the connection has ended for good."""
        return self.closing and self._connection is None

    def open(self) -> None:
        """Connect, and declare the topology; goes on to the next node until one accepts, with exponential backoff."""
        try:
            self._connection = self._connect()
        except Exception as error:  # any error leads to another try
            self._try_again(error)

    def _connect(self) -> _Connection:
        parameters = _parameters(self._nodes.url)
        if self._several:
            parameters.socket_timeout = parameters.stack_timeout = HANDSHAKE_SECONDS
        connection = _Connection(
            parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=lambda _, error: self._try_again(error),
            on_close_callback=lambda _, error: self._try_again(error),
            custom_ioloop=self._loop,
        )
        connection.add_on_connection_blocked_callback(lambda *_: self._block(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._block(False))
        return connection

    def publish(self, message: Message, settled: Callable[[bool], None], queue: str | None = None) -> None:
        """Publish an event to the exchange, or directly to a queue.

        `settled` is called with True when the broker has confirmed it; with False when it was not routed, was refused,
        or the connection was lost.
        """
        if self._publishing is None:
            return settled(False)
        self._confirms.expect(message.id, settled)
        exchange, key = (EXCHANGE, message.routing_key) if queue is None else ("", queue)
        self._publishing.basic_publish(exchange, key, message.body, _properties(message), MANDATORY)
        return None

    def ack(self, deliveries: list[Delivery]) -> None:
        """Acknowledge these: their effects are committed. Those that no older one precedes share one frame."""
        tags = {delivery.tag for delivery in deliveries if not delivery.lost}
        if self._channel is None or not tags:
            return
        if self._consumers is not None and not self.closing:
            tags -= self._consumers.acknowledge_later(tags)
        oldest, others = self._unacknowledged.settle(tags)
        if oldest:
            self._channel.basic_ack(oldest[-1], multiple=True)
        for tag in others:
            self._channel.basic_ack(tag)

    def _acknowledge(self, channel: Channel, tag: int) -> None:
        self._unacknowledged.pop(tag, None)
        channel.basic_ack(tag)

    def reject(self, delivery: Delivery) -> None:
        """Have the broker dead-letter the message unchanged.

        Only for a message that can't be published there: the broker does not report whether it succeeded.
        """
        if self._channel is not None and not delivery.lost:
            self._unacknowledged.pop(delivery.tag, None)
            self._channel.basic_nack(delivery.tag, requeue=False)

    def put_back(self, delivery: Delivery) -> None:
        """Add the message to `deliveries` again, unless the broker delivers it again itself."""
        if not delivery.lost and not self.closing:
            self.deliveries.append(delivery)
            self._changed()

    def open_channel(
        self, opened: Callable[[Channel], None], closed: Callable[[Channel, Exception | None], None]
    ) -> None:
        """Open another channel; `closed` is called with the error because of which it was closed, if there was one."""

        def use(channel: Channel) -> None:
            channel.add_on_close_callback(on_close)
            opened(channel)

        def on_close(channel: Channel, reason: Exception) -> None:
            closed(channel, None if isinstance(reason, ChannelClosedByClient | ConnectionClosed) else reason)

        if self._connection is not None:
            self._connection.channel(on_open_callback=use)

    def consume_partition(self, queue: str) -> None:
        """Begin to consume a partition."""
        if self._consumers is not None:
            self._consumers.consume(queue, ordered=True)

    def stop_consuming(self) -> None:
        """Cancel the consumer."""
        self.closing = True
        if self._consumers is not None:
            self._consumers.closing = True
        self.deliveries.clear()
        if self._channel is not None:
            for tag in self._channel.consumer_tags:
                self._channel.basic_cancel(tag)

    def reset(self, error: Exception) -> None:
        """End the connection at once, and open another; unacknowledged messages count as requeued by a failure."""
        self._channel = self._publishing = None
        if self._connection is not None and not self._connection.is_closed:
            self._connection.abort(error)

    def give_up(self, error: Exception) -> None:
        """End the connection at once, and open no other; `closed` becomes True."""
        self.closing = True
        self.reset(error)

    def close(self) -> None:
        """Return unacknowledged messages, and close the connection; `closed` becomes True."""
        self.closing = True
        if self._channel is not None and self._unacknowledged:
            # Newer brokers count this as no failure of these messages, unlike the end of the connection.
            self._channel.basic_nack(0, multiple=True, requeue=True)
        self._drop()

    def _opened(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_close)
        channel.add_on_cancel_callback(lambda _: self._drop())  # the queue was deleted
        self._use_for_publishing(channel)
        declare(channel, bindings(), self._topology)
        self._consumers = self._consumers_on(channel)
        for number in range(1, self._topology.partitioned + 1):
            self._consumers.consume(partition_queue(self._queue, number), ordered=True)
        self._consumers.consume(self._queue, ordered=False, agreed=lambda _: self._consuming(channel))

    def _consumers_on(self, channel: Channel) -> ChannelConsumers:
        def begin(queue: str, prefetch: int, priority: int | None, agreed: Agreed | None) -> str:
            channel.basic_qos(prefetch_count=prefetch)
            arguments = None if priority is None else {"x-priority": priority}
            return channel.basic_consume(queue, self._on_message, callback=agreed, arguments=arguments)

        def cancel(consumer: str) -> None:
            channel.basic_cancel(consumer, callback=lambda _: None)  # without a callback, the broker does not answer

        def cancelled(frame: Any) -> None:
            consumers.cancelled(frame.method.consumer_tag)

        consumers = ChannelConsumers(self._prefetch, begin, cancel, partial(self._acknowledge, channel))
        channel.add_callback(cancelled, [Basic.CancelOk], one_shot=False)
        return consumers

    def _consuming(self, channel: Channel) -> None:
        """Publish and acknowledge from now on: the broker has answered all before."""
        self._channel = self._publishing = channel
        self._nodes.connected()
        self._blocked = False
        heartbeat.cannot("")
        log.info("connected to the broker", queue=self._queue, node=place(self._nodes.url))
        if self.closing:
            return self.stop_consuming()
        return self._changed()

    def _on_message(self, channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
        if properties.type == PROBE:
            return channel.basic_ack(method.delivery_tag or 0)
        delivery = Delivery(
            method.delivery_tag or 0,
            dict(properties.headers or {}),
            properties.content_type,
            body,
            short(_published_as(method, properties)),
            redelivered=bool(method.redelivered),
        )
        if delivery.redelivered:
            log.debug("redelivered", routing_key=delivery.routing_key)
        self._unacknowledged[delivery.tag] = delivery
        if self._consumers is not None:
            self._consumers.delivered(method.consumer_tag or "", delivery)
        if not self.closing:
            self.deliveries.append(delivery)
            self._changed()
        return None

    def _on_return(self, _: Channel, method: Basic.Return, properties: BasicProperties, __: bytes) -> None:
        self._confirms.returned(properties.message_id or "")
        if properties.type == PROBE:
            return
        log.error("unroutable", routing_key=method.routing_key, event_id=properties.message_id)
        self._reconciler.unroutable()

    def _on_close(self, _: Channel, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByBroker):
            self._cause = reason
        if not isinstance(reason, ChannelClosedByClient):
            self._drop()

    def _on_confirm(self, channel: Channel, frame: Any) -> None:
        if channel is not self._publishing:
            return
        confirmed = isinstance(frame.method, Basic.Ack)
        self._confirms.answered(frame.method.delivery_tag, multiple=frame.method.multiple, confirmed=confirmed)
        if not confirmed and not self.closing and self._connection is not None:
            self._publish_on_another_channel(channel, self._connection)
        self._changed()

    def _publish_on_another_channel(self, refused: Channel, connection: _Connection) -> None:
        """Publish on a new channel, since this one may refuse for ever; what it has not confirmed is to be sent again.

        So what the broker took after all is sent twice: events are dropped by inboxes, a dead letter is there twice.

        It refuses while a queue has no leader. RabbitMQ 3.10 remembers in the channel which node led a queue to
        which it has not published yet, and goes on refusing what is for that queue when another node leads it.
        """
        self._publishing = None
        self._confirms.channel_ended()
        if refused is not self._channel:
            refused.close()
        connection.channel(on_open_callback=self._opened_for_publishing)

    def _opened_for_publishing(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_close)
        self._use_for_publishing(channel)
        if self._channel is not None:
            self._publishing = channel
            self._changed()

    def _use_for_publishing(self, channel: Channel) -> None:
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(partial(self._on_confirm, channel))

    def _block(self, blocked: bool) -> None:
        log.warning("the broker takes nothing" if blocked else "the broker takes messages again")
        heartbeat.cannot("the broker takes nothing: no memory or disk" if blocked else "")
        self._blocked = blocked
        self._changed()

    def _drop(self) -> None:
        """Begin to close the connection."""
        self._channel = self._publishing = None
        if self._connection is not None and not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _try_again(self, error: BaseException) -> None:
        """Drop all state of the connection, and open another one, unless it was closed for good."""
        self._channel = self._publishing = self._connection = self._consumers = None
        self._reconciler.connection_ended()
        self._unacknowledged.lose()
        self.deliveries.clear()
        self._confirms.channel_ended()
        if not self.closing:
            seconds = self._nodes.seconds_to_next_try
            cause, self._cause = self._cause or error, None
            node = place(self._nodes.url)
            log.warning("no connection to the broker", error=str(cause) or type(cause).__name__, node=node)
            self._nodes.failed()
            if self._nodes.rounds >= ROUNDS_SAID:
                heartbeat.cannot(f"no connection to the broker: {cause or type(cause).__name__}")
            self._loop.call_later(seconds, self.open)
        self._changed()


def browse(url: str, queue: str, limit: int) -> list[DeadLetter]:
    """Read up to `limit` messages of a queue, which stay in it; raises as `move`."""
    with _channel(url) as channel:
        letters = [letter for _, letter in _get(channel, queue, limit)]
        _requeue(channel)
    return letters


def move(url: str, source: str, target: str, limit: int, wanted: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
    """Move the wanted ones of up to `limit` messages to another queue; return those that were moved.

    A message leaves its queue after the other one has it; if the process ends in between, it is in both. Raises
    `LookupError` when there is no such queue, `ConnectionError` when the broker does not answer.
    """
    moved = []
    with _channel(url) as channel:
        channel.confirm_delivery()
        for tag, letter in list(_get(channel, source, limit)):
            if wanted(letter):
                message = unparked(letter)
                channel.basic_publish("", target, message.body, _properties(message), MANDATORY)
                channel.basic_ack(tag)
                moved.append(letter)
        _requeue(channel)
    return moved


def _get(channel: BlockingChannel, queue: str, limit: int) -> Iterator[tuple[int, DeadLetter]]:
    """Yield messages of a queue; those that are not acknowledged return to it."""
    for _ in range(limit):
        method, properties, body = channel.basic_get(queue)
        if method is None or properties is None or body is None:
            return
        letter = DeadLetter(queue, properties.headers or {}, body, properties.content_type)
        yield method.delivery_tag or 0, letter


def _requeue(channel: BlockingChannel) -> None:
    """Return unacknowledged messages to their queue before the connection is closed.

    The end of the connection would return them later, and the next reader would miss them.
    """
    channel.basic_nack(multiple=True, requeue=True)


def _published_as(method: Basic.Deliver, properties: BasicProperties) -> str:
    """The name of the event. A redriven message has it as its type, since it came by the name of its queue."""
    return (properties.type if not method.exchange else "") or method.routing_key or ""


def _properties(message: Message) -> BasicProperties:
    return BasicProperties(
        content_type=message.content_type,
        delivery_mode=2,
        headers=message.headers,
        message_id=message.id,
        correlation_id=message.saga_id,
        type=message.routing_key,
    )


@contextmanager
def _channel(
    url: str, blocked_seconds: float = ANSWER_SECONDS, seconds: float = ANSWER_SECONDS
) -> Iterator[BlockingChannel]:
    """Open a channel at any node for the block; raises `ConnectionError` when none answers in time."""
    try:
        connection = _connect_to_any(url, blocked_seconds, seconds)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()
    except ConnectionBlockedTimeout as error:
        raise ConnectionError(f"{place(url)} takes no messages: no memory or disk") from error
    except (AMQPError, AMQPConnectorException, OSError) as error:
        if isinstance(error, UnroutableError) or (isinstance(error, ChannelClosedByBroker) and error.reply_code == 404):
            raise LookupError("no such queue") from error
        reason = str(error) or type(error).__name__
        raise ConnectionError(f"no answer from {place(url)}: {reason}") from error


def _connect_to_any(url: str, blocked_seconds: float, seconds: float) -> pika.BlockingConnection:
    """Connect to the first node that accepts, in a random order; raises the last one's error.

    pika can try several nodes itself, but a host name that is not known (a node's that is down, in Kubernetes) ends
    its search.
    """
    urls = node_urls(url)
    failures: list[Exception] = []
    for each in random.sample(urls, len(urls)):
        parameters = _parameters(each)
        parameters.socket_timeout = parameters.stack_timeout = seconds / len(urls)
        parameters.blocked_connection_timeout = blocked_seconds
        try:
            return pika.BlockingConnection(parameters)
        except (AMQPError, AMQPConnectorException, OSError) as error:
            failures.append(error)
    raise failures[-1]


def _parameters(url: str) -> pika.URLParameters:
    """Make the parameters of a connection to one node."""
    parameters = pika.URLParameters(url)
    parameters.connection_attempts = 1
    if parameters.heartbeat is None:
        parameters.heartbeat = HEARTBEAT_SECONDS
    parameters.blocked_connection_timeout = BLOCKED_SECONDS
    return parameters
