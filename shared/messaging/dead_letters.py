"""Dead letters: the messages that a service could not deal with, to be seen, and tried again once the cause is gone."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from shared.json_codec import loads
from shared.messaging.parking import ERROR, PARKED_AT, ROUTING_KEY, TRIES, DeadLetter, text, uuid
from shared.rabbitmq import browse, dead_queue, move

SHOWN_LENGTH = 20_000  # of a body; the letter has all of it
SHOWN_DEPTH = 50  # of a body's JSON; beyond it is shown as text
MOST = 1000  # of a queue, that are looked at; beyond that, one cause has many, and goes first


@dataclass(frozen=True)
class Letter:
    """What it is, and why it is here. A message that is no event may lack anything but the id that it was given."""

    service: str
    event_id: str
    event: str | None
    saga_id: UUID | None
    error: str | None
    tries: int | None
    parked_at: str | None
    payload: Any


def find(url: str, service: str, limit: int, wanted: Callable[[Letter], bool] | None = None) -> list[Letter]:
    """Up to `limit` dead letters of a service, which stay where they are; while this looks, nobody else sees them.

    With `wanted`, the first `MOST` are looked at for those. Raises `ConnectionError` when the broker does not answer.
    """
    with suppress(LookupError):  # where nothing ever ran there is no queue
        letters = browse(url, dead_queue(service), limit if wanted is None else MOST)
        found = (_letter(service, letter) for letter in letters)
        return list(islice(found if wanted is None else filter(wanted, found), limit))
    return []


def redrive(url: str, service: str, wanted: Callable[[Letter], bool]) -> list[Letter]:
    """Give the wanted ones to their service again, as if they had just come; raises `ConnectionError`."""

    def chosen(letter: DeadLetter) -> bool:
        return wanted(_letter(service, letter))

    with suppress(LookupError):
        return [_letter(service, letter) for letter in move(url, dead_queue(service), service, MOST, chosen)]
    return []


def _letter(service: str, letter: DeadLetter) -> Letter:
    """What is known of a letter, typed and bounded whatever is in it; nothing here raises."""
    headers = letter.headers

    def said(*names: str) -> str | None:
        """The first of these headers that is there."""
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
    """The JSON that it is, or its text as far as it is one."""
    if len(body) <= SHOWN_LENGTH:
        with suppress(ValueError):
            found = loads(body)
            if not _deeper(found, SHOWN_DEPTH):
                return found
    return text(body, SHOWN_LENGTH)


def _deeper(value: Any, depth: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth == 0 or any(_deeper(each, depth - 1) for each in inside)
