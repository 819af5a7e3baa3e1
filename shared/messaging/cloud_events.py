"""Events on the wire: CloudEvents 1.0 in binary mode, as the RabbitMQ protocol binding has it (`ce-` headers)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from shared import trace
from shared.event_bus import CONTRACT, Event

JSON = "application/json"


class Unreadable(Exception):
    """A message that is no event of the contract; the same will be true of it every time."""


class Headers(BaseModel):
    """The attributes of our events: `correlationid` is the saga, `causationid` the event that this one follows from.

    `takenat` is when the publisher took that event from its queue. `fault` is what the saga is to suffer on purpose,
    where faults can be switched on, and `injected` names those that happened to what the event tells of, or to itself.
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
    traceparent: str | None = None
    fault: str | None = None
    takenat: AwareDatetime | None = None
    injected: str | None = None


@dataclass(frozen=True)
class Message:
    """An event as it is sent: the routing key is its type."""

    id: str
    routing_key: str
    saga_id: str
    headers: dict[str, Any]
    body: bytes
    content_type: str | None = JSON


def to_message(event: Event) -> Message:
    """The event on its way to the broker."""
    entry, texts = event.entry, event.texts
    headers = {
        "ce-specversion": "1.0",
        "ce-id": texts.id,
        "ce-type": entry.name,
        "ce-source": f"/{entry.publisher}",
        "ce-subject": texts.saga_id,
        "ce-time": texts.time,
        "ce-dataschema": entry.schema,
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
    return Message(texts.id, entry.name, texts.saga_id, headers, event.data.encode())


def from_message(headers: Mapping[str, Any], body: bytes) -> Event:
    """The event that a message carries; raises `Unreadable`. What the contract does not know is dropped."""
    try:
        told = Headers.model_validate(headers)
        entry = CONTRACT.get(told.type)
        if entry is None:
            raise Unreadable(f"unknown event type {told.type}")
        if told.dataschema != entry.schema:
            raise Unreadable(f"schema {told.dataschema} is not {entry.schema}")
        payload = entry.payload.model_validate_json(body)
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
    """The first thing that is wrong."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{error.title}: {'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
