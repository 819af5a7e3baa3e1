"""Messages that are no events, or have false headers: none stops a consumer, hides another, or is lost; real broker."""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.database.listen import ShutdownSignal
from shared.event_bus import CARRITO, EXCHANGE, PAGOS, Event
from shared.messaging import consumer, event_worker
from shared.messaging.cloud_events import to_message
from shared.messaging.consumer import DEATHS
from shared.messaging.dead_letters import Letter, find, redrive
from shared.messaging.delivery import Delivery
from shared.messaging.parking import DeadLetter
from shared.rabbitmq import Bus, browse
from shared.testing import concurrently, wait_until
from shared.topology import dead_queue
from tests.system.queues import Message
from tests.system.raw_amqp import RawPublisher, Refused, long, raw_publisher, short, string, table
from tests.system.topology import declare_topology
from tests.system.toy_room import Room, raw
from tests.system.toys import POISON, initiated, reserved

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


HARMLESS = {
    "milliseconds": {"sent-at": MILLISECONDS},
    "endless": {"sent-at": b"T" + b"\xff" * 8},
    "deep": {"path": nested(5_000)},
    "large": {"much": string("a" * 120_000)},
    "no-text": {"name": string(b"\xff\xfe"), b"\xff": b"V"},
    "copies": {"CC": b"A" + long(string(PAGOS)), "none": b"V"},
    "forged": {"x-delivery-count": number(99), "x-acquired-count": number(99), "x-death": nested(1)},
}


@pytest.mark.parametrize("added", HARMLESS.values(), ids=HARMLESS)
def test_a_header_that_is_not_ours_keeps_no_event_from_being_dealt_with(room: Room, added: dict[Any, bytes]) -> None:
    room.run(PAGOS)
    odd = Event(reserved())
    fields = {name.encode(): value for name, value in fields_of(odd).items()}
    fields |= {name if isinstance(name, bytes) else name.encode(): value for name, value in added.items()}
    send(room, table(fields), to_message(odd).body)
    room.wait_acted(PAGOS, [odd], SECONDS)
    events_pass(room)
    assert room.queues.depth(DEAD) == 0


SPOILED = {
    "number-type": {"ce-type": number(7)},
    "long-id": {"ce-id": string("a" * 300)},
    "long-subject": {"ce-subject": string("a" * 300)},
    "long-type": {"ce-type": string("a" * 300)},
    "huge-id": {"ce-id": string("a" * 120_000)},
    "binary-id": {"ce-id": string(b"\xff" * 300)},
    "nul-id": {"ce-id": string("\0")},
    "listed-id": {"ce-id": b"A" + long(string("a"))},
    "no-id": {"ce-id": b"V"},
    "table-type": {"ce-type": b"F" + long(table({"a": nested(40)}))},
    "number-time": {"ce-time": MILLISECONDS},
    "true-version": {"ce-specversion": b"t\x01"},
    "copied": {"ce-id": b"V", "CC": b"A" + long(string(PAGOS))},
    "forged": {"ce-id": b"V", "x-error": string("forged"), "x-tries": number(99), "x-letter-id": string("forged")},
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
def test_a_message_whose_attributes_are_no_attributes_is_parked_shown_and_tried_again(
    room: Room, spoiled: dict[str, bytes]
) -> None:
    room.run(PAGOS)
    send(room, table({**fields_of(Event(reserved())), **spoiled}), b"{}", content_type=b"\xff" * 255)
    events_pass(room)
    (letter,) = letters(room, 1)
    assert letter.error is not None
    assert letter.error.startswith("Unreadable: ")
    assert letter.tries == 1
    assert 0 < len(letter.event_id) <= 200
    other = Message(b"{}", raw(b"{}", {"ce-id": "other"}).properties)
    room.queues.publish(DEAD, other, exchange="")
    assert [each.event_id for each in redrive(room.rabbitmq_url, PAGOS, lambda it: it.event_id == letter.event_id)] == [
        letter.event_id
    ]
    (left, again) = letters(room, 2)
    assert left.event_id == "other"
    assert again.parked_at is not None
    events_pass(room)
    assert room.queues.depth(DEAD) == 2


def test_a_message_without_headers_keeps_its_name_however_often_it_is_redriven(room: Room) -> None:
    room.run(PAGOS)
    send(room, table({}), b"x")
    for _ in range(3):
        (letter,) = letters(room, 1)
        assert (letter.event, letter.tries) == (KEY, 1)
        assert [each.event for each in redrive(room.rabbitmq_url, PAGOS, lambda _: True)] == [KEY]


def test_what_the_broker_itself_put_among_the_dead_letters_is_shown_beside_the_others(room: Room) -> None:
    """With its original contents."""
    with raw_publisher(room.rabbitmq_url) as publisher:
        odd: list[dict[str, bytes]] = [
            {"sent-at": MILLISECONDS},
            {"path": nested(5_000)},
            {"ce-id": string("a" * 120_000)},
        ]
        for fields in (*odd, {"x-tries": string("9" * 5000)}):
            publisher.publish("", DEAD, table(fields), b"[" * 900 + b"]" * 900, content_type=b"\xff")
        publisher.publish_raw("", DEAD, b"\0\0", b"\xff\0" * 100_000)
        publisher.publish_raw("", DEAD, struct.pack(">H", 0x0080) + short(b"\xff" * 255), b'{"a": 1}')
    found = letters(room, 6)
    assert len(found) == 6
    assert len({letter.event_id for letter in found}) == 6
    assert [letter.payload for letter in found][5] == {"a": 1}
    moved = redrive(room.rabbitmq_url, PAGOS, lambda letter: letter.event_id == found[1].event_id)
    assert [letter.event_id for letter in moved] == [found[1].event_id]
    assert len(letters(room, 5)) == 5
    room.run(PAGOS)
    assert len(redrive(room.rabbitmq_url, PAGOS, lambda _: True)) == 5
    assert len(letters(room, 6)) == 6
    events_pass(room)


def test_a_count_that_a_publisher_wrote_parks_no_event_even_after_it_was_given_back(room: Room) -> None:
    """When it comes the second time, the broker has counted."""
    event = Event(reserved())
    forged = {"x-delivery-count": number(DEATHS + 50), "x-acquired-count": number(DEATHS + 50)}
    send(room, table({**fields_of(event), **forged}), to_message(event).body)
    browse(room.rabbitmq_url, PAGOS, 10)
    room.run(PAGOS)
    room.wait_acted(PAGOS, [event], SECONDS)
    assert room.queues.depth(DEAD) == 0


def test_a_message_that_cannot_be_parked_is_put_there_by_the_broker(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(consumer, "parked", fail)
    room.run(PAGOS)
    room.queues.publish(KEY, raw(b"?", {"mine": 1}))
    events_pass(room)
    (letter,) = letters(room, 1)
    assert (letter.error, letter.payload) == ("rejected", "?")


class Said:
    """Records log entries."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, **_: object) -> None:
        self.lines.append(event)

    error = warning


def test_a_message_is_said_to_be_parked_once_it_is(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue of dead letters is missing, so at first it cannot be parked."""
    said = Said()
    monkeypatch.setattr(consumer, "log", said)
    room.run(PAGOS)
    wait_until(lambda: room.queues.consumers(PAGOS), "the worker is there", SECONDS)
    room.delete_queue(DEAD)
    room.queues.publish(KEY, raw(b"?", {}))
    wait_until(lambda: room.has_queue(DEAD) and room.queues.depth(DEAD) == 1, "it is parked", SECONDS)
    room.wait_quiet(PAGOS, SECONDS)
    wait_until(lambda: "message parked" in said.lines, "it is said", SECONDS)
    assert said.lines.index("message not parked yet") < said.lines.index("message parked")
    assert said.lines.count("message parked") == 1


def test_an_error_that_nobody_expects_makes_a_worker_begin_again_and_loses_nothing(room: Room) -> None:
    pagos = room[PAGOS]
    split, failures = pagos.subscription.split, iter(range(2))

    def fail_twice(batch: Any) -> Any:
        if next(failures, None) is not None:
            raise ZeroDivisionError
        return split(batch)

    pagos.subscription = replace(pagos.subscription, split=fail_twice)
    room.run(PAGOS)
    events = room.publish(*(reserved() for _ in range(20)))
    room.wait_acted(PAGOS, events, SECONDS)
    assert next(failures, None) is None
    room.wait_quiet(PAGOS, SECONDS)
    assert room[PAGOS].acted() == room.followed(PAGOS) == Counter(event.saga_id for event in events)


def test_an_error_that_does_not_go_away_ends_the_worker_with_it(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_worker, "MOST_FAILURES", 2)
    pagos = room[PAGOS]

    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    pagos.subscription = replace(pagos.subscription, split=fail)
    room.publish(*(reserved() for _ in range(3)))
    with pytest.raises(ZeroDivisionError):
        concurrently(partial(pagos.run, room.rabbitmq_url, ShutdownSignal()), seconds=SECONDS)


def test_a_message_that_makes_its_worker_fail_each_time_is_parked_alone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a place in the code where no error is expected."""
    pagos = room[PAGOS]
    split, bad = pagos.subscription.split, reserved(POISON)

    def fail_on_it(batch: Sequence[Delivery]) -> Any:
        if any(each.known.saga_id == bad.saga_id for each in batch):
            raise ZeroDivisionError
        return split(batch)

    take = Bus.ack

    def fail_late(bus: Bus, deliveries: list[Delivery]) -> None:
        if any(each.event is not None and each.known.saga_id == bad.saga_id for each in deliveries) and not (
            deliveries[0].given_back >= DEATHS
        ):
            raise ZeroDivisionError
        take(bus, deliveries)

    monkeypatch.setattr(Bus, "ack", fail_late)
    pagos.subscription = replace(pagos.subscription, split=fail_on_it)
    events = room.publish(*(reserved() for _ in range(10)), bad, *(reserved() for _ in range(10)))
    room.run(PAGOS)
    room.wait_acted(PAGOS, [event for event in events if event.saga_id != bad.saga_id], SECONDS)
    (letter,) = letters(room, 1)
    assert letter.saga_id == bad.saga_id


def test_an_exchange_that_is_deleted_while_it_is_declared_ends_no_worker(room: Room) -> None:
    """Somebody deletes it again and again. Events confirmed while one queue is not bound again reach the others."""
    room.run(CARRITO, PAGOS)
    room[CARRITO].stage(initiated())
    for _ in range(40):
        room.delete_exchange(EXCHANGE)
        room[CARRITO].stage(initiated())
    wait_until(lambda: room[CARRITO].unpublished() == 0, "all are published", SECONDS)
    declare_topology(room.rabbitmq_url)
    events_pass(room)


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
