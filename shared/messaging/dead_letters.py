"""Dead letters: messages that a service could not handle. They can be listed, and redriven once the cause is gone."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from shared.json_codec import loads
from shared.messaging.parking import ERROR, PARKED_AT, ROUTING_KEY, TRIES, DeadLetter, text, uuid
from shared.rabbitmq import browse, move
from shared.topology import dead_queue

SHOWN_LENGTH = 20_000  # characters of a body that are shown
SHOWN_DEPTH = 50  # nesting of a body's JSON; a deeper one is shown as text
MOST = 1000  # messages of a queue that are read: more of them share a cause, which is redriven first


@dataclass(frozen=True)
class Letter:
    """One dead letter and the reason why it was parked. If it is no event, all fields but the id may be missing."""

    service: str
    event_id: str
    event: str | None
    saga_id: UUID | None
    error: str | None
    tries: int | None
    parked_at: str | None
    payload: Any


def find(url: str, service: str, limit: int, wanted: Callable[[Letter], bool] | None = None) -> list[Letter]:
    """List up to `limit` dead letters of a service. They stay in their queue; nobody else sees them meanwhile.

    With `wanted`, the first `MOST` are searched. Raises `ConnectionError` when the broker does not answer.
    """
    with suppress(LookupError):  # there is no queue before the service first ran
        letters = browse(url, dead_queue(service), limit if wanted is None else MOST)
        found = (_letter(service, letter) for letter in letters)
        return list(islice(found if wanted is None else filter(wanted, found), limit))
    return []


def redrive(url: str, service: str, wanted: Callable[[Letter], bool]) -> list[Letter]:
    """Move the wanted dead letters back to the queue of their service, and list them; raises `ConnectionError`."""

    def chosen(letter: DeadLetter) -> bool:
        return wanted(_letter(service, letter))

    with suppress(LookupError):
        return [_letter(service, letter) for letter in move(url, dead_queue(service), service, MOST, chosen)]
    return []


def _letter(service: str, letter: DeadLetter) -> Letter:
    """Describe a dead letter with bounded values; never raises, whatever the message contains."""
    headers = letter.headers

    def said(*names: str) -> str | None:
        """Return the first of these headers that is present."""
        found = next((headers[name] for name in names if headers.get(name) is not None), None)
        return None if found is None else text(found)

    tries = headers.get(TRIES)
    return Letter(
        service=service,
        event_id=letter.event_id,
        event=said("ce-type", ROUTING_KEY),
        saga_id=uuid(headers.get("ce-subject")),
        error=said("x-first-death-reason") if "x-death" in headers else said(ERROR),
        tries=tries if isinstance(tries, int) else None,
        parked_at=said(PARKED_AT),
        payload=_payload(letter.body),
    )


def _payload(body: bytes) -> Any:
    """Parse a body as JSON; return its text when it is none."""
    if len(body) <= SHOWN_LENGTH:
        with suppress(ValueError):
            found = loads(body)
            if not _deeper(found, SHOWN_DEPTH):
                return found
    return text(body, SHOWN_LENGTH)


def _deeper(value: Any, depth: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth == 0 or any(_deeper(each, depth - 1) for each in inside)
