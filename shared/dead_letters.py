"""Dead letters: the messages that a service could not deal with, to be seen, and tried again once the cause is gone."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.json_codec import loads
from shared.rabbitmq import DeadLetter, browse, dead_queue, move

MOST = 1000  # of a queue, that are looked at; beyond that, one cause has many, and goes first


@dataclass(frozen=True)
class Letter:
    """What it is, and why it is here. A message that is no event may lack anything."""

    service: str
    event_id: str | None
    event: str | None
    saga_id: UUID | None
    error: str | None
    tries: int | None
    parked_at: str | None
    payload: Any


def find(url: str, service: str, limit: int) -> list[Letter]:
    """Up to `limit` dead letters of a service, which stay where they are; while this looks, nobody else sees them.

    Raises `ConnectionError` when the broker does not answer.
    """
    with suppress(LookupError):  # where nothing ever ran there is no queue
        return [_letter(service, letter) for letter in browse(url, dead_queue(service), limit)]
    return []


def redrive(url: str, service: str, wanted: Callable[[Letter], bool]) -> list[Letter]:
    """Give the wanted ones to their service again, as if they had just come; raises `ConnectionError`."""

    def chosen(letter: DeadLetter) -> bool:
        return wanted(_letter(service, letter))

    with suppress(LookupError):
        return [_letter(service, letter) for letter in move(url, dead_queue(service), service, MOST, chosen)]
    return []


def _letter(service: str, letter: DeadLetter) -> Letter:
    def said(*names: str) -> str | None:
        """The first of these headers; ours, else those that a broker adds by itself."""
        found = next((letter.headers[name] for name in names if letter.headers.get(name) is not None), None)
        return None if found is None else str(found).replace("\0", "\ufffd")  # PostgreSQL stores no NUL

    tries = said("x-tries", "x-delivery-count") or ""
    return Letter(
        service=service,
        event_id=said("ce-id"),
        event=said("ce-type", "x-routing-key"),
        saga_id=_uuid(said("ce-subject")),
        error=said("x-error", "x-first-death-reason"),
        tries=int(tries) if tries.isdecimal() else None,
        parked_at=said("x-parked-at"),
        payload=_payload(letter.body),
    )


def _payload(body: bytes) -> Any:
    """The JSON that it is, or its text as far as it is one."""
    try:
        return loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
