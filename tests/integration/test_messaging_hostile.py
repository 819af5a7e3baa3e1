"""Messages that are no events, or have false headers: none stops a consumer, hides another, or is lost; real broker."""

import struct
from typing import Any

import pytest

from shared.event_bus import PAGOS, Event
from shared.messaging import consumer
from shared.messaging.cloud_events import to_message
from shared.messaging.consumer import DEATHS
from shared.messaging.dead_letters import redrive
from shared.rabbitmq import browse
from tests.integration.hostile_messages import (
    DEAD,
    KEY,
    MILLISECONDS,
    SECONDS,
    events_pass,
    fields_of,
    letters,
    nested,
    number,
    send,
)
from tests.system.queues import Message
from tests.system.raw_amqp import long, raw_publisher, short, string, table
from tests.system.toy_room import Room, raw
from tests.system.toys import reserved

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
