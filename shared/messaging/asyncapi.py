"""The AsyncAPI 3.1 document of the event contract: `python -m shared.messaging.asyncapi > docs/asyncapi.json`."""

import inspect
import sys
from typing import Any

import simplejson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared import VERSION
from shared.event_bus import CONSUMERS, CONTRACT, EXCHANGE, Entry
from shared.messaging.cloud_events import Headers

SCHEMAS = "#/components/schemas"
EXCHANGE_BINDING = {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}


def document() -> dict[str, Any]:
    """Build the document: a channel for each event type; each service sends some, and receives those of its queue."""
    entries = CONTRACT.values()
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
        "channels": {entry.name: _channel(entry) for entry in entries},
        "operations": {
            **{f"{entry.publisher}.sends.{entry.name}": _operation("send", entry) for entry in entries},
            **{
                f"{service}.receives.{entry.name}": _operation("receive", entry)
                for service in CONSUMERS
                for entry in entries
                if service in entry.consumers
            },
        },
        "components": {
            "messages": {entry.name: _message(entry) for entry in entries},
            "schemas": _schemas([Headers, *(entry.payload for entry in entries)]),
        },
    }


def text() -> str:
    """Return the document as JSON text."""
    return simplejson.dumps(document(), indent=2) + "\n"


def _channel(entry: Entry) -> dict[str, Any]:
    return {
        "address": entry.name,
        "messages": {entry.name: {"$ref": f"#/components/messages/{entry.name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": EXCHANGE_BINDING, "bindingVersion": "0.3.0"}},
    }


def _operation(action: str, entry: Entry) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{entry.name}"},
        "messages": [{"$ref": f"#/channels/{entry.name}/messages/{entry.name}"}],
    }


def _message(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.schema,
        "summary": inspect.getdoc(entry.payload),
        "contentType": "application/json",
        "headers": {"$ref": f"{SCHEMAS}/{Headers.__name__}"},
        "payload": {"$ref": f"{SCHEMAS}/{entry.payload.__name__}"},
        "correlationId": {"location": "$message.header#/ce-correlationid", "description": "The saga's id."},
    }


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    _, schema = models_json_schema([(model, "serialization") for model in models], ref_template=f"{SCHEMAS}/{{model}}")
    schemas: dict[str, Any] = schema["$defs"]
    return schemas


if __name__ == "__main__":
    sys.stdout.write(text())
