"""More about a choreographed saga that does not continue: its parked messages, and the faults that happened.

An event that fails at its consumer is not in the saga's timeline; its dead letter is the only trace of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboard.faults import where
from dashboard.hindrance import SILENT
from dashboard.letter_filter import LetterFilter
from dashboard.words import counted

Json = Mapping[str, Any]
Link = tuple[str, str, str]  # name, text, where it leads


@dataclass(frozen=True)
class Evidence:
    """None for what was not read: only operators may read it, or a service did not answer."""

    letters: Sequence[Json] | None = None
    fired: Sequence[Json] | None = None
    is_wanted: bool = False
    is_for_operators: bool = False  # why letters were not read


def is_wanted(saga: Json, now: datetime) -> bool:
    """Whether the saga is choreographed, did not complete, and nothing has happened to it for a while."""
    silent = now - datetime.fromisoformat(str(saga["updated_at"])) > timedelta(milliseconds=SILENT)
    return silent and saga["saga_pattern"] == "choreographed" and saga["status"] != "completed"


def links(saga_id: str, found: Evidence) -> list[Link]:
    """Return the banner's links to them; none where there is nothing."""
    if not found.is_wanted:
        return []
    unread = "shown to operators only" if found.is_for_operators else "could not be read"
    letters = unread if found.letters is None else "; ".join(map(_letter, found.letters))
    fired = "" if found.fired is None else "; ".join(map(_fired, found.fired))
    parked = f"/dead-letters{LetterFilter(saga=saga_id).query()}"
    told = [("Dead letters", letters, parked), ("Faults that fired", fired, "/faults")]
    return [link for link in told if link[1]]


def _letter(letter: Json) -> str:
    error = f": {letter['error']}" if letter["error"] else ""
    return f"{letter['event'] or 'a message'} parked by {letter['service']}{error}"


def _fired(row: Json) -> str:
    return f"{row['name']} at {where(row)}, {counted(row['fired'], 'time')}"
