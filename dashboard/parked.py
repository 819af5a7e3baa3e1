"""Dead letters for people: messages that a service could not process, and redrives. No I/O."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.letter_filter import LetterFilter, told
from dashboard.words import counted

Json = Mapping[str, Any]

CONSUMERS = ("carrito", "inventario", "pagos", "saga_choreography")  # of messages


@dataclass(frozen=True)
class Letter:
    """A parked message; `at` is None where the message has no valid time of its parking."""

    said: Json
    at: datetime | None
    raw: str  # its body


@dataclass(frozen=True)
class Redrive:
    """One redrive: its filter, the messages moved by service, and how many of them are parked again."""

    said: Json
    wanted: str
    moved: list[tuple[str, int]]
    again: int
    is_known: bool  # whether `again` is exact: all dead letters of its services were read

    @property
    def total(self) -> int:
        """The number of messages that it moved."""
        return sum(number for _, number in self.moved)

    @property
    def is_listed(self) -> bool:
        """Whether it moved anything, or may have before it was interrupted."""
        return self.total > 0 or self.said["finished_at"] is None


@dataclass(frozen=True)
class Parked:
    """Parked messages that fit a filter; `is_all` is false if a service may have more than were read."""

    filter: LetterFilter
    letters: list[Letter]
    events: list[str]  # the event types among them
    redrives: list[Redrive]
    is_all: bool


def parked(page: Json, chosen: LetterFilter, most: int) -> Parked:
    """Return what fits the filter in a page of up to `most` messages of each service."""
    items = page["items"]
    counts = Counter(str(item["service"]) for item in items)
    # The services of which all dead letters were read; none with a filter.
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
    """Parse the time in a message's header, which may be any text."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
