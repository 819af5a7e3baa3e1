"""Dead letters as people look at them: messages that a service could not deal with, and what redrives did. No I/O."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.letter_filter import LetterFilter, told
from dashboard.words import counted

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
    """One redrive: what was requested, how many messages of which service it moved, and how many are parked again."""

    said: Json
    wanted: str
    moved: list[tuple[str, int]]
    again: int
    is_known: bool  # whether `again` is all: every service that it moved messages of was read completely

    @property
    def total(self) -> int:
        """How many messages it moved."""
        return sum(number for _, number in self.moved)

    @property
    def is_listed(self) -> bool:
        """Whether it moved anything, or was cut short and may have."""
        return self.total > 0 or self.said["finished_at"] is None


@dataclass(frozen=True)
class Parked:
    """What is parked and fits a filter; `is_all` is false where a service may have more than were read."""

    filter: LetterFilter
    letters: list[Letter]
    events: list[str]  # the events among what was read
    redrives: list[Redrive]
    is_all: bool


def parked(page: Json, chosen: LetterFilter, most: int) -> Parked:
    """What a reading of up to `most` messages of each service has that fits."""
    items = page["items"]
    counts = Counter(str(item["service"]) for item in items)
    # Of which services everything that is parked was read. Where it was filtered, of none.
    complete = set() if chosen.is_set else {name for name in CONSUMERS if counts[name] < most}
    events = sorted({*(str(item["event"]) for item in items if item["event"]), *filter(None, [chosen.event])})
    letters = [Letter(item, _time(item["parked_at"]), _raw(item["payload"])) for item in items]
    there = {(item["service"], item["event_id"]) for item in items}
    redrives = [_redrive(each, there, complete) for each in page["redrives"]]
    return Parked(chosen, letters, events, redrives, max(counts.values(), default=0) < most)


def _redrive(said: Json, there: set[tuple[str, str]], complete: set[str]) -> Redrive:
    wanted, moved = said["wanted"], said["moved"]
    ids = wanted["event_ids"]
    again = sum((each["service"], each["event_id"]) in there for each in moved if each["service"] in complete)
    is_known = all(each["service"] in complete for each in moved)
    counts = sorted(Counter(str(each["service"]) for each in moved).items())
    return Redrive(said, told(wanted) if ids is None else counted(len(ids), "named message"), counts, again, is_known)


def _raw(payload: Any) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload, indent=2, ensure_ascii=False, default=str)


def _time(text: str | None) -> datetime | None:
    """A message's own word for it, which may be anything."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
