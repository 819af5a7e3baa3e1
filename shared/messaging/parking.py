"""The form of messages that are parked among the dead letters, and that go from there to their service again.

What was received may be anything that AMQP can carry, so none of it is published as it came but the body, which the
broker took once. Headers go on when they are short strings or whole numbers, as all of ours are; the message gets an
id of its own; and when any of its headers does not go on, all of them are kept as one text, of bounded length.
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
SHORT_BYTES = 255  # of what AMQP calls a short string, such as names of headers and properties
VALUE_BYTES = 1024  # of a header that goes on; ours have less than a tenth
HEADERS_BYTES = 16_384  # of all that go on: with the rest they fit into one frame, of 131,072 bytes by default
TEXT_LENGTH = 500  # of what is kept for people, such as the error
ORIGINAL_LENGTH = 10_000
ROUTING_HEADERS = ("CC", "BCC")  # which would have RabbitMQ give a copy to other queues, too
COUNTS = {"x-delivery-count", "x-acquired-count"}  # of the broker, in each message that comes again
WHOLE_NUMBERS = range(-(2**63), 2**63)
USABLE_ID = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class DeadLetter:
    """A message that a service could not deal with: what it is and why it is here."""

    queue: str
    headers: Mapping[str, Any]
    body: bytes
    content_type: str | None = None

    @property
    def event_id(self) -> str:
        """The id of the event; when it has none that could be used, the one that the letter itself was given."""
        return _usable(self.headers.get("ce-id")) or _usable(self.headers.get(ID)) or self._digest

    @property
    def _digest(self) -> str:
        """An id made of what it consists of, for what no consumer gave one."""
        kept = repr(sorted((name, repr(value)) for name, value in self.headers.items() if name not in COUNTS))
        return str(UUID(bytes=sha256(kept.encode(errors="replace") + self.body).digest()[:16]))


def parked(delivery: Delivery, error: Exception, tries: int) -> Message:
    """What is put among the dead letters for a message that came, whatever is in it."""
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
    """The message that its service gets again, as if it had just come."""
    headers = passed_on(letter.headers)
    return _message(letter.event_id, headers, letter.body, letter.content_type, short(headers.get("ce-type", "")))


def passed_on(headers: Mapping[str, Any]) -> dict[str, str | int]:
    """The headers that go on with a message: none that says why it was here, or that a broker could choke on."""
    passed: dict[str, str | int] = {}
    left = HEADERS_BYTES
    for name, value in headers.items():
        size = _size(name, value)
        if size is not None and size <= left and not name.startswith("x-") and name not in ROUTING_HEADERS:
            passed[name] = value
            left -= size
    return passed


def text(value: object, length: int = TEXT_LENGTH) -> str:
    """Any value as a text of bounded length that can be sent, and stored: without NUL, and without half a character."""
    told = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return told[:length].encode(errors="replace").decode().replace("\0", "\ufffd")


def short(value: object) -> str:
    """Any value as a short string, cut where it is too long."""
    return text(value, SHORT_BYTES).encode()[:SHORT_BYTES].decode(errors="ignore")


def _usable(value: object) -> str | None:
    return value if isinstance(value, str) and USABLE_ID.fullmatch(value) else None


def uuid(value: object) -> UUID | None:
    """The UUID that a text is, if it is one."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _message(message_id: str, headers: Mapping[str, Any], body: bytes, content_type: object, key: str) -> Message:
    saga_id = uuid(headers.get("ce-subject"))
    known = content_type if isinstance(content_type, str) and short(content_type) == content_type else None
    return Message(message_id, key, "" if saga_id is None else str(saga_id), dict(headers), body, known)


def _size(name: str, value: object) -> int | None:
    """How many bytes a header takes at most; None when it may not go on."""
    name_size = len(name.encode())
    if not 0 < name_size <= SHORT_BYTES:
        return None
    if isinstance(value, int) and value in WHOLE_NUMBERS:
        return name_size + 10
    value_size = len(value.encode()) if isinstance(value, str) else VALUE_BYTES + 1
    return name_size + value_size + 6 if value_size <= VALUE_BYTES else None
