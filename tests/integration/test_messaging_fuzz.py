"""Messages of any content, with valid events in between; real broker."""

import struct

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.event_bus import EXCHANGE, PAGOS, Event
from shared.messaging.cloud_events import to_message
from shared.messaging.dead_letters import find, redrive
from shared.messaging.parking import DeadLetter
from shared.rabbitmq import browse
from shared.testing import wait_until
from tests.integration.hostile_messages import (
    DEAD,
    KEY,
    MILLISECONDS,
    SECONDS,
    nested,
)
from tests.system.raw_amqp import RawPublisher, Refused, long, short, string, table
from tests.system.toy_room import Room
from tests.system.toys import reserved

SCALARS = st.sampled_from(
    [
        b"V",
        b"t\x01",
        b"b\xff",
        b"B\xff",
        b"s\xff\xff",
        b"u\xff\xff",
        b"I\xff\xff\xff\xff",
        b"i\xff\xff\xff\xff",
        b"l" + b"\xff" * 8,
        b"L" + b"\x80" + b"\0" * 7,
        b"f" + struct.pack(">f", -1.5e38),
        b"d" + struct.pack(">d", 1e300),
        b"D\xff\x80\0\0\0",
        MILLISECONDS,
        b"T" + b"\xff" * 8,
        b"Z",
        nested(2000),
    ]
)
TEXTS = st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.just(b"a" * 40_000)
VALUES = st.recursive(
    SCALARS | TEXTS.map(string) | TEXTS.map(lambda data: b"x" + long(data)),
    lambda inside: (
        st.lists(inside, max_size=3).map(lambda each: b"A" + long(b"".join(each)))
        | st.dictionaries(st.binary(max_size=9), inside, max_size=3).map(lambda each: b"F" + long(table(each)))
    ),
    max_leaves=5,
)
OURS = [f"ce-{name}".encode() for name in ("id", "type", "subject", "time", "specversion", "source", "dataschema")]
NAMES = st.sampled_from([*OURS, b"x-delivery-count", b"x-death", b"CC", b"x-letter-id"]) | st.binary(max_size=255)
ADDED = st.dictionaries(NAMES, VALUES, max_size=3)
BODIES = st.none() | st.binary(max_size=100) | st.sampled_from([b"", b"null", b"[" * 5000, b"\xff" * 200_000, b"{}"])
# The properties of AMQP by the bits of their flags, in their order; headers and delivery mode are set in any case.
SHORTS = st.binary(max_size=255).map(short)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        0x8000: SHORTS,
        0x4000: SHORTS,
        0x0800: st.binary(min_size=1, max_size=1),
        0x0400: SHORTS,
        0x0200: SHORTS,
        0x0100: st.sampled_from([short("60000000"), short("x")]),
        0x0080: SHORTS,
        0x0040: st.binary(min_size=8, max_size=8),
        0x0020: SHORTS,
        0x0008: SHORTS,
        0x0004: SHORTS,
    },
)
MESSAGES = st.lists(st.tuples(ADDED, BODIES, PROPERTIES), min_size=8, max_size=8)


def properties_of(fields: dict[bytes, bytes], others: dict[int, bytes]) -> bytes:
    known = {**others, 0x2000: long(table(fields)), 0x1000: b"\x02"}
    return struct.pack(">H", sum(known)) + b"".join(known[flag] for flag in sorted(known, reverse=True))


class Fuzz:
    """The messages sent to one worker that runs all the time."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.good: list[Event] = []
        self.odd: list[Event] = []  # messages that may be handled or parked
        self._publisher = RawPublisher(room.rabbitmq_url)

    def send(self, added: dict[bytes, bytes], body: bytes | None, others: dict[int, bytes]) -> None:
        """Send a variation of an event, and a valid event after it. The broker itself refuses some variations."""
        odd = Event(reserved())
        sent = to_message(odd)
        fields = {**{name.encode(): string(value) for name, value in sent.headers.items()}, **added}
        try:
            self._publisher.publish_raw(
                EXCHANGE, KEY, properties_of(fields, others), sent.body if body is None else body
            )
            self.odd.append(odd)
        except Refused:
            self._publisher.close()
            self._publisher = RawPublisher(self.room.rabbitmq_url)
        self.good += self.room.publish(reserved())

    def check(self) -> None:
        """Check that all valid events are handled, and that each other message is handled or parked."""
        self.room.wait_acted(PAGOS, self.good, SECONDS)
        wait_until(self._all_dealt_with, f"{len(self.odd)} are dealt with or parked", SECONDS)
        shown = find(self.room.rabbitmq_url, PAGOS, 1000)
        assert len(shown) == self.parked
        assert not {each.saga_id for each in self.good} & {each.saga_id for each in shown}
        moved = redrive(self.room.rabbitmq_url, PAGOS, lambda letter: letter.event_id in {it.event_id for it in shown})
        assert len(moved) == len(shown)
        wait_until(lambda: self.room.queues.depth(DEAD) == len(shown), "they are parked again", SECONDS)

    @property
    def parked(self) -> int:
        return len(self.odd) - len(self.room[PAGOS].acted().keys() & {each.saga_id for each in self.odd})

    def _all_dealt_with(self) -> bool:
        return self.room.queues.depth(DEAD) == self.parked

    def close(self) -> None:
        self._publisher.close()


def test_no_message_stops_a_consumer_or_hides_another(room: Room) -> None:
    """Headers, types, sizes, bodies and encodings of all kinds, with valid events in between."""
    room.run(PAGOS)
    fuzz = Fuzz(room)

    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(MESSAGES)
    def try_them(messages: list[tuple[dict[bytes, bytes], bytes | None, dict[int, bytes]]]) -> None:
        for each in messages:
            fuzz.send(*each)

    try_them()
    fuzz.check()
    fuzz.close()
    assert len(fuzz.odd) > 40
    assert fuzz.parked > 20
    letter: DeadLetter
    for letter in browse(room.rabbitmq_url, DEAD, 1000):
        assert all(isinstance(value, str | int) for value in letter.headers.values())
