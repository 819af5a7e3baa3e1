"""The AsyncAPI 3.1 document of the event contract: `python -m shared.messaging.asyncapi > docs/asyncapi.json`."""

import inspect
import sys
from typing import Any

import simplejson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared import VERSION
from shared.event_bus import CONSUMERS, CONTRACT, EXCHANGE, EventType
from shared.messaging.cloud_events import Headers

SCHEMAS = "#/components/schemas"
EXCHANGE_BINDING = {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}


def document() -> dict[str, Any]:
    """Build the document: a channel for each event type; each service sends some, and receives those of its queue."""
    event_types = CONTRACT.values()
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Checkout events",
            "version": VERSION,
            "description": "The events of the choreographed checkout: CloudEvents 1.0 in binary mode over RabbitMQ.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "rabbitmq": {
                "host": "127.0.0.1:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "One durable quorum queue for each service, with its dead letters in <service>.dead.",
            }
        },
        "channels": {event_type.name: _channel(event_type) for event_type in event_types},
        "operations": {
            **{
                f"{event_type.publisher}.sends.{event_type.name}": _operation("send", event_type)
                for event_type in event_types
            },
            **{
                f"{service}.receives.{event_type.name}": _operation("receive", event_type)
                for service in CONSUMERS
                for event_type in event_types
                if service in event_type.consumers
            },
        },
        "components": {
            "messages": {event_type.name: _message(event_type) for event_type in event_types},
            "schemas": _schemas([Headers, *(event_type.payload for event_type in event_types)]),
        },
    }


def text() -> str:
    """Return the document as JSON text."""
    return simplejson.dumps(document(), indent=2) + "\n"


def _channel(event_type: EventType) -> dict[str, Any]:
    return {
        "address": event_type.name,
        "messages": {event_type.name: {"$ref": f"#/components/messages/{event_type.name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": EXCHANGE_BINDING, "bindingVersion": "0.3.0"}},
    }


def _operation(action: str, event_type: EventType) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{event_type.name}"},
        "messages": [{"$ref": f"#/channels/{event_type.name}/messages/{event_type.name}"}],
    }


def _message(event_type: EventType) -> dict[str, Any]:
    return {
        "name": event_type.name,
        "title": event_type.schema,
        "summary": inspect.getdoc(event_type.payload),
        "contentType": "application/json",
        "headers": {"$ref": f"{SCHEMAS}/{Headers.__name__}"},
        "payload": {"$ref": f"{SCHEMAS}/{event_type.payload.__name__}"},
        "correlationId": {"location": "$message.header#/ce-correlationid", "description": "The saga's id."},
    }


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    _, schema = models_json_schema([(model, "serialization") for model in models], ref_template=f"{SCHEMAS}/{{model}}")
    schemas: dict[str, Any] = schema["$defs"]
    return schemas


if __name__ == "__main__":
    sys.stdout.write(text())
