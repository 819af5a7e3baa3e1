"""Dead letters as people look at them: messages that a service could not deal with, and what redrives did. No I/O."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

Json = Mapping[str, Any]

CONSUMERS = ("carrito", "inventario", "pagos", "saga_choreography")  # the services that messages come to


@dataclass(frozen=True)
class Letter:
    """A parked message; `at` is None where the message does not say sensibly when it was parked."""

    said: Json
    at: datetime | None
    raw: str  # its contents, as they came


@dataclass(frozen=True)
class Redrive:
    """One redrive: what was asked for, how many messages of which service it moved, and how many are parked again."""

    said: Json
    wanted: str
    moved: list[tuple[str, int]]
    again: int

    @property
    def total(self) -> int:
        """How many messages it moved."""
        return sum(number for _, number in self.moved)


@dataclass(frozen=True)
class Parked:
    """What is parked and fits a filter; `is_all` is false where a service may have more than were read."""

    service: str  # empty is every service
    event: str  # empty is every event
    letters: list[Letter]
    events: list[str]  # the events among what was read
    redrives: list[Redrive]
    is_all: bool

    def query(self, **changed: str) -> str:
        """The URL's query with these filters changed; empty without filters."""
        wanted = {"service": self.service, "event": self.event, **changed}
        found = urlencode({name: value for name, value in wanted.items() if value})
        return f"?{found}" if found else ""

    @property
    def which(self) -> str:
        """What the filter selects, in words."""
        return which(self.service, self.event)


def which(service: str, event: str) -> str:
    """What a filter selects, in words."""
    of = f"of {service}" if service else "of every service"
    return f"every parked {event} {of}" if event else f"every parked message {of}"


def parked(page: Json, service: str, event: str, most: int) -> Parked:
    """What a reading of up to `most` messages of each service has that fits."""
    items = [item for item in page["items"] if not event or item["event"] == event]
    fullest = max(Counter(item["service"] for item in page["items"]).values(), default=0)
    events = sorted({str(item["event"]) for item in page["items"] if item["event"]})
    letters = [Letter(item, _time(item["parked_at"]), _raw(item["payload"])) for item in items]
    there = {(item["service"], item["event_id"]) for item in page["items"]}
    redrives = [_redrive(each, there) for each in page["redrives"]]
    return Parked(service, event, letters, events, redrives, fullest < most)


def _redrive(said: Json, there: set[tuple[str, str]]) -> Redrive:
    wanted, moved = said["wanted"], said["moved"]
    ids = wanted["event_ids"]
    words = which(wanted["service"] or "", wanted.get("event") or "")
    again = sum((each["service"], each["event_id"]) in there for each in moved)
    counts = sorted(Counter(str(each["service"]) for each in moved).items())
    return Redrive(said, words if ids is None else f"{len(ids)} named messages", counts, again)


def _raw(payload: Any) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload, indent=2, ensure_ascii=False, default=str)


def _time(text: str | None) -> datetime | None:
    """A message's own word for it, which may be anything."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
