"""Messages that are no events, or have false headers, as raw AMQP."""

import struct
from typing import Any

from shared.event_bus import EXCHANGE, PAGOS, Event
from shared.messaging.cloud_events import to_message
from shared.messaging.dead_letters import Letter, find
from shared.testing import wait_until
from shared.topology import dead_queue
from tests.system.raw_amqp import long, raw_publisher, string
from tests.system.toy_room import Room
from tests.system.toys import reserved

DEAD = dead_queue(PAGOS)
KEY = "inventory.reserved"
SECONDS = 120.0  # only keeps a test from hanging
MILLISECONDS = b"T" + struct.pack(">Q", 1_772_000_000_000)


def number(value: int) -> bytes:
    return b"l" + struct.pack(">q", value)


def fields_of(event: Event) -> dict[str, bytes]:
    """Return the headers of an event, each as it is encoded."""
    return {name: string(value) for name, value in to_message(event).headers.items()}


def nested(depth: int) -> bytes:
    value = b"V"
    for _ in range(depth):
        value = b"A" + long(value)
    return value


def send(room: Room, fields: bytes, body: bytes, **how: Any) -> None:
    with raw_publisher(room.rabbitmq_url) as publisher:
        publisher.publish(EXCHANGE, KEY, fields, body, **how)


def letters(room: Room, count: int) -> list[Letter]:
    """Wait for so many dead letters; return them as people see them."""
    wait_until(lambda: room.queues.depth(DEAD) >= count, f"{count} dead letters", SECONDS)
    return find(room.rabbitmq_url, PAGOS, 1000)


def events_pass(room: Room) -> None:
    """Check that events that are published now are handled."""
    room.wait_acted(PAGOS, room.publish(reserved(), reserved()), SECONDS)
