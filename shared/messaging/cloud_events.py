"""Events on the wire: CloudEvents 1.0 in binary mode, with `ce-` headers as in the RabbitMQ protocol binding."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, ValidationError

from shared import trace
from shared.event_bus import CONTRACT, Event

JSON = "application/json"


class Unreadable(Exception):
    """The message is not an event of the contract; trying again can't help."""


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Headers(BaseModel):
    """The attributes of an event: `correlationid` is the saga, `causationid` the event that this one follows from.

    `takenat` is when the publisher received that event. With fault switches, `fault` names the faults of the saga, and
    `injected` those that happened to the step that the event reports, or to the event itself.
    """

    model_config = ConfigDict(alias_generator=lambda name: f"ce-{name}", extra="ignore")

    specversion: Literal["1.0"]
    id: UUID
    type: str
    source: str
    subject: str
    time: AwareDatetime
    dataschema: str
    correlationid: str | None = None
    causationid: UUID | None = None
    # What is no text is no context, as any text that is none: an event is handled whatever is said of its trace.
    traceparent: Annotated[str | None, BeforeValidator(_text_or_none)] = None
    fault: str | None = None
    takenat: AwareDatetime | None = None
    injected: str | None = None


@dataclass(frozen=True)
class Message:
    """An event as it is sent; the routing key is its type."""

    id: str
    routing_key: str
    saga_id: str
    headers: dict[str, Any]
    body: bytes
    content_type: str | None = JSON


def to_message(event: Event) -> Message:
    """Make the message of an event."""
    event_type, texts = event.event_type, event.texts
    headers = {
        "ce-specversion": "1.0",
        "ce-id": texts.id,
        "ce-type": event_type.name,
        "ce-source": f"/{event_type.publisher}",
        "ce-subject": texts.saga_id,
        "ce-time": texts.time,
        "ce-dataschema": event_type.schema,
        "ce-correlationid": texts.saga_id,
    }
    if texts.cause is not None:
        headers["ce-causationid"] = texts.cause
    if event.trace is not None:
        headers["ce-traceparent"] = event.trace
    if event.fault is not None:
        headers["ce-fault"] = event.fault
    if texts.taken_at is not None:
        headers["ce-takenat"] = texts.taken_at
    if event.injected is not None:
        headers["ce-injected"] = event.injected
    return Message(texts.id, event_type.name, texts.saga_id, headers, event.data.encode())


def from_message(headers: Mapping[str, Any], body: bytes) -> Event:
    """Read the event of a message; raises `Unreadable`. Fields that the contract does not know are dropped."""
    try:
        told = Headers.model_validate(headers)
        event_type = CONTRACT.get(told.type)
        if event_type is None:
            raise Unreadable(f"unknown event type {told.type}")
        if told.dataschema != event_type.schema:
            raise Unreadable(f"schema {told.dataschema} is not {event_type.schema}")
        payload = event_type.payload.model_validate_json(body)
    except ValidationError as error:
        raise Unreadable(_told(error)) from error
    return Event(
        payload,
        told.id,
        told.time,
        told.causationid,
        trace.valid(told.traceparent),
        told.fault,
        told.takenat,
        told.injected,
        received_at=datetime.now(UTC),
    )


def _told(error: ValidationError) -> str:
    """Describe the first error."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{error.title}: {'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
