"""Events on the wire are CloudEvents as other programs read and write them: here, the CNCF's own library."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from shared.event_bus import Event, InventoryReleased
from shared.ids import new_id
from shared.messaging.cloud_events import JSON, Unreadable, from_message, to_message

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVENT = Event(InventoryReleased(saga_id=new_id(), cart_id=new_id(), reason="ünlucky"), cause=new_id(), trace=TRACE)
MARKED = replace(EVENT, fault="process_payment=slow", injected="slow", taken_at=datetime.now(UTC))
BARE = Event(InventoryReleased(saga_id=new_id(), cart_id=new_id(), reason="-"))
ATTRIBUTES = {
    "specversion": "1.0",
    "id": str(EVENT.id),
    "type": "inventory.released",
    "source": "/inventario",
    "subject": str(EVENT.saga_id),
    "time": EVENT.time,
    "dataschema": "urn:checkout:inventory.released:1",
    "datacontenttype": JSON,
    "correlationid": str(EVENT.saga_id),
    "causationid": str(EVENT.cause),
    "traceparent": TRACE,
}


def test_others_read_what_we_write() -> None:
    sent = to_message(EVENT)
    read = from_binary(RabbitMQMessage(sent.headers, sent.content_type, sent.body), JSONFormat(), CloudEvent)
    assert read.get_attributes() == ATTRIBUTES
    assert read.get_data() == {
        "saga_id": str(EVENT.saga_id),
        "cart_id": str(EVENT.payload.cart_id),
        "reason": "ünlucky",
    }


def test_we_read_what_others_write() -> None:
    data = {"saga_id": str(EVENT.saga_id), "cart_id": str(EVENT.payload.cart_id), "reason": "ünlucky", "more": [1]}
    written = to_binary(CloudEvent({**ATTRIBUTES, "extra": "x"}, data), JSONFormat())
    assert from_message({**written.headers}, written.body) == EVENT


@pytest.mark.parametrize("event", [EVENT, MARKED, BARE], ids=["with cause and trace", "with all", "without"])
def test_an_event_comes_as_it_went(event: Event) -> None:
    sent = to_message(event)
    assert from_message(sent.headers, sent.body) == event
    assert (sent.id, sent.routing_key, sent.saga_id) == (str(event.id), event.event_type.name, str(event.saga_id))


@pytest.mark.parametrize(
    "value", [5, True, [1], b"\xff", {"a": 1}, "", TRACE.upper(), "ff" + TRACE[2:], TRACE + "\n"], ids=repr
)
def test_an_event_is_read_whatever_is_said_of_its_trace(value: Any) -> None:
    sent = to_message(EVENT)
    assert from_message({**sent.headers, "ce-traceparent": value}, sent.body) == replace(EVENT, trace=None)


@pytest.mark.parametrize("header", ["specversion", "id", "type", "source", "subject", "time", "dataschema"])
@pytest.mark.parametrize("value", [None, [1], b"\xff", {"a": 1}], ids=str)
def test_an_attribute_that_is_missing_or_no_text_is_told(header: str, value: Any) -> None:
    headers = {**to_message(EVENT).headers, f"ce-{header}": value}
    with pytest.raises(Unreadable, match=f"^Headers: ce-{header}: "):
        from_message({name: value for name, value in headers.items() if value is not None}, to_message(EVENT).body)


def test_a_time_without_a_zone_is_none() -> None:
    headers = {**to_message(EVENT).headers, "ce-time": datetime.now(UTC).replace(tzinfo=None).isoformat()}
    with pytest.raises(Unreadable, match="ce-time: Input should have timezone info"):
        from_message(headers, to_message(EVENT).body)


def test_an_event_that_follows_says_when_its_cause_was_taken() -> None:
    before = datetime.now(UTC)
    sent = to_message(EVENT)
    taken = from_message(sent.headers, sent.body)
    following = taken.follow(EVENT.payload)
    assert following.taken_at is not None
    assert before <= following.taken_at <= following.time
    assert EVENT.follow(EVENT.payload).taken_at is None, "it was not taken from a queue"
