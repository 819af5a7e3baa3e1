"""The filter of dead letters in a page's URL: by service, event, saga, error and age. No I/O."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

Json = Mapping[str, Any]

# For how long they have been parked at least, in seconds; a message that says no time is as old as nobody knows.
AGES = {"300": "five minutes", "3600": "an hour", "86400": "a day"}


@dataclass(frozen=True)
class LetterFilter:
    """Empty is any. `error` is a part of the reason; `older` is one of `AGES`."""

    service: str = ""
    event: str = ""
    saga: str = ""
    error: str = ""
    older: str = ""

    def query(self, **changed: str) -> str:
        """The URL's query with these filters changed; empty without filters."""
        found = urlencode({name: value for name, value in {**asdict(self), **changed}.items() if value})
        return f"?{found}" if found else ""

    def request(self, now: datetime) -> Json:
        """The same as the service names it in requests; an age becomes a time before `now`."""
        before = (now - timedelta(seconds=int(self.older))).isoformat() if self.older else ""
        named = {"service": self.service, "event": self.event, "saga_id": self.saga, "error": self.error}
        return {name: value for name, value in {**named, "parked_before": before}.items() if value}

    @property
    def is_set(self) -> bool:
        """Whether the filter leaves anything out."""
        return self != LetterFilter()

    @property
    def words(self) -> str:
        """The selection in words."""
        age = f", parked for {AGES[self.older]} at least" if self.older else ""
        return told({"service": self.service, "event": self.event, "saga_id": self.saga, "error": self.error}) + age


def told(wanted: Json) -> str:
    """Say in words what a filter selects, given as the service names its parts."""
    parts = [f"every parked {wanted.get('event') or 'message'} of {wanted.get('service') or 'every service'}"]
    if wanted.get("saga_id"):
        parts.append(f"of saga {wanted['saga_id']}")
    if wanted.get("error"):
        parts.append(f"with {wanted['error']!r} in its reason")
    if wanted.get("parked_before"):
        parts.append(f"parked before {str(wanted['parked_before'])[:19].replace('T', ' ')}")
    return ", ".join(parts)
