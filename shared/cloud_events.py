"""Events on the wire: CloudEvents 1.0 in binary mode, as the RabbitMQ protocol binding has it (`ce-` headers)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_binary, to_binary
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from shared.event_bus import CONTRACT, Event


class Unreadable(Exception):
    """A message that is no event of the contract; the same will be true of it every time."""


@dataclass(frozen=True)
class Message:
    """An event as it is sent: the routing key is its type."""

    id: str
    routing_key: str
    saga_id: str
    headers: dict[str, Any]
    body: bytes
    content_type: str | None = "application/json"


class _AsIs(JSONFormat):
    """The payload models read and write the JSON themselves."""

    def write_data(self, data: Any, datacontenttype: str | None) -> bytes:
        del datacontenttype
        return bytes(data)

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:
        del datacontenttype
        return body


_AS_IS = _AsIs()


def to_message(event: Event) -> Message:
    """The event on its way to the broker."""
    entry = event.entry
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(event.id),
        "type": entry.name,
        "source": f"/{entry.publisher}",
        "subject": str(event.saga_id),
        "time": event.time,
        "dataschema": entry.schema,
        "datacontenttype": "application/json",
        "correlationid": str(event.saga_id),
    }
    if event.cause is not None:
        attributes["causationid"] = str(event.cause)
    if event.trace is not None:
        attributes["traceparent"] = event.trace
    sent = to_binary(CloudEvent(attributes, event.payload.model_dump_json().encode()), _AS_IS)
    return Message(str(event.id), entry.name, str(event.saga_id), dict(sent.headers), sent.body)


def from_message(headers: dict[str, Any], content_type: str | None, body: bytes) -> Event:
    """The event that a message carries; raises `Unreadable`. Fields that the contract does not know are dropped."""
    texts = {name: str(value) for name, value in headers.items() if name.lower().startswith("ce-")}
    try:
        attributes = from_binary(RabbitMQMessage(texts, content_type, body), _AS_IS, CloudEvent).get_attributes()
        entry = CONTRACT.get(attributes["type"])
        if entry is None:
            raise Unreadable(f"unknown event type {attributes['type']}")
        if attributes.get("dataschema") != entry.schema:
            raise Unreadable(f"schema {attributes.get('dataschema')} is not {entry.schema}")
        cause = attributes.get("causationid")
        return Event(
            entry.payload.model_validate_json(body),
            UUID(attributes["id"]),
            attributes["time"],
            None if cause is None else UUID(cause),
            attributes.get("traceparent"),
        )
    except (CloudEventValidationError, ValidationError, ValueError, KeyError) as error:
        raise Unreadable(_told(error)) from error


def _told(error: Exception) -> str:
    """What is wrong, in a line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{error.title}: {'.'.join(map(str, first['loc'])) or 'payload'}: {first['msg']}"
    return " ".join(str(error).split()) or type(error).__name__
