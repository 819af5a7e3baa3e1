"""The form of parked messages (dead letters), and of messages that are redriven to their service.

A received message may hold anything that AMQP can carry. Only its body, which the broker has accepted once, is
published unchanged. Headers are kept when they are short strings or integers, as all headers of this project are; the
message gets a new id. If a header can't be kept, all of them are kept as one text of bounded length.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from shared.ids import new_id
from shared.messaging.cloud_events import Message
from shared.messaging.delivery import Delivery

ID, ERROR, TRIES, PARKED_AT, ROUTING_KEY, ORIGINAL = (
    "x-letter-id",
    "x-error",
    "x-tries",
    "x-parked-at",
    "x-routing-key",
    "x-original-headers",
)
SHORT_BYTES = 255  # of an AMQP short string, such as names of headers and properties
VALUE_BYTES = 1024  # of a kept header; headers of this project have less than a tenth
HEADERS_BYTES = 16_384  # of all kept headers: the header frame may have 131,072 bytes by default
TEXT_LENGTH = 500  # characters of a text for people, such as the error
ORIGINAL_LENGTH = 10_000
ROUTING_HEADERS = ("CC", "BCC")  # RabbitMQ would send copies to the queues named there
COUNTS = {"x-delivery-count", "x-acquired-count"}  # written by the broker into redelivered messages
WHOLE_NUMBERS = range(-(2**63), 2**63)
USABLE_ID = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class DeadLetter:
    """A parked message."""

    queue: str
    headers: Mapping[str, Any]
    body: bytes
    content_type: str | None = None

    @property
    def event_id(self) -> str:
        """The event's id; without a valid one, the id of the dead letter."""
        return _usable(self.headers.get("ce-id")) or _usable(self.headers.get(ID)) or self._digest

    @property
    def _digest(self) -> str:
        """An id made of the contents, for a message that no consumer gave an id."""
        kept = repr(sorted((name, repr(value)) for name, value in self.headers.items() if name not in COUNTS))
        return str(UUID(bytes=sha256(kept.encode(errors="replace") + self.body).digest()[:16]))


def parked(delivery: Delivery, error: Exception, tries: int) -> Message:
    """Make the dead letter of a delivered message, whatever it contains."""
    kept = passed_on(delivery.headers)
    letter_id, key = str(new_id()), short(delivery.routing_key)
    reasons: dict[str, str | int] = {
        ID: letter_id,
        ERROR: text(f"{type(error).__name__}: {error}"),
        TRIES: tries,
        PARKED_AT: datetime.now(UTC).isoformat(),
        ROUTING_KEY: key,
    }
    if delivery.headers.keys() - kept.keys() - COUNTS:
        reasons[ORIGINAL] = text(repr(delivery.headers), ORIGINAL_LENGTH)
    headers = {**kept, **reasons}
    return _message(letter_id, headers, delivery.body, delivery.content_type, key)


def unparked(letter: DeadLetter) -> Message:
    """Make the message that redrives a dead letter to its service."""
    headers = passed_on(letter.headers)
    key = short(headers.get("ce-type") or letter.headers.get(ROUTING_KEY, ""))
    return _message(letter.event_id, headers, letter.body, letter.content_type, key)


def passed_on(headers: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the headers to keep: none about the parking, and none that a broker could refuse."""
    passed: dict[str, str | int] = {}
    left = HEADERS_BYTES
    for name, value in headers.items():
        size = _size(name, value)
        if size is not None and size <= left and not name.startswith("x-") and name not in ROUTING_HEADERS:
            passed[name] = value
            left -= size
    return passed


def text(value: object, length: int = TEXT_LENGTH) -> str:
    """Turn any value into a text of bounded length that can be sent and stored: no NUL, no incomplete character."""
    told = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return told[:length].encode(errors="replace").decode().replace("\0", "\ufffd")


def short(value: object) -> str:
    """Turn any value into a short string, cut to its limit."""
    return text(value, SHORT_BYTES).encode()[:SHORT_BYTES].decode(errors="ignore")


def _usable(value: object) -> str | None:
    return value if isinstance(value, str) and USABLE_ID.fullmatch(value) else None


def uuid(value: object) -> UUID | None:
    """Parse a UUID; None when the text is none."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _message(message_id: str, headers: Mapping[str, Any], body: bytes, content_type: object, key: str) -> Message:
    saga_id = uuid(headers.get("ce-subject"))
    known = content_type if isinstance(content_type, str) and short(content_type) == content_type else None
    return Message(message_id, key, "" if saga_id is None else str(saga_id), dict(headers), body, known)


def _size(name: str, value: object) -> int | None:
    """Return the greatest size of a header in bytes; None when it can't be kept."""
    name_size = len(name.encode())
    if not 0 < name_size <= SHORT_BYTES:
        return None
    if isinstance(value, int) and value in WHOLE_NUMBERS:
        return name_size + 10
    value_size = len(value.encode()) if isinstance(value, str) else VALUE_BYTES + 1
    return name_size + value_size + 6 if value_size <= VALUE_BYTES else None
