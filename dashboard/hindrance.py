"""What holds a saga up now, according to its latest command or event."""

from dataclasses import dataclass

from dashboard.attempts import attempts
from dashboard.story import Moment, Story
from dashboard.words import State, counted

SILENT = 2000.0  # ms without an event; ten times what a service takes to react under load


@dataclass(frozen=True)
class Hindrance:
    """`what` fails or is awaited, and `why`, if known; `first` is the entry where this began."""

    what: str
    why: str
    service: str  # that the saga waits for
    first: Moment
    attempts: int  # at the command that fails; 0 of an event


def hindrance(story: Story) -> Hindrance | None:
    """Return what holds the saga up; None when nothing does, as far as is known."""
    if story.has_ended:
        return None
    return _failing(story) if story.is_orchestrated else _awaited(story)


def _failing(story: Story) -> Hindrance | None:
    """Return the command whose latest request failed; None if there is none."""
    latest = next((each for each in reversed(story.moments) if each.kind == "attempt"), None)
    if latest is None or latest.state is not State.UNANSWERED:
        return None
    row = [each for each in story.moments if each.kind == "attempt" and each.key == latest.key]
    ended = next((at for at in range(len(row), 0, -1) if row[at - 1].state is not State.UNANSWERED), 0)
    return Hindrance(f"{latest.what} fails at {latest.lane}", _reason(latest), latest.lane, row[ended], attempts(row))


def _reason(moment: Moment) -> str:
    return moment.detail.removeprefix(f"{moment.lane}: ")


def _awaited(story: Story) -> Hindrance | None:
    """Return the event that should follow from the latest one, if it is overdue."""
    events = [each for each in story.moments if each.kind == "event" and not each.is_echo]
    if not events or story.end - events[-1].end <= SILENT:
        return None
    last = events[-1]
    who = str(last.entry.get("handled_by") or "")
    what = f"No event from {who} yet" if who else "No event yet"
    return Hindrance(what, f"the latest is {last.what}", who, last, 0)


def tried(found: Hindrance) -> str:
    """The number of attempts in words; empty where it is not known."""
    return counted(found.attempts, "attempt") if found.attempts else ""
