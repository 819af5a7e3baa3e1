"""A saga and its timeline from the APIs, as moments on one scale of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from dashboard.attempts import with_tries
from dashboard.words import OUTCOMES, State, service_of, step_name
from shared.saga.states import ENDED

Json = Mapping[str, Any]

WINDOW = "saga_choreography"  # it publishes only requests of operators and of its watchdog
WATCHDOG = "watchdog"  # its name in `by`
CANCEL = "checkout.cancel.requested"
# Events of the backward direction that are about no step.
_BACKWARD_EVENTS = frozenset({CANCEL, "checkout.failed"})
_BACKWARD_KINDS = frozenset({"compensating", "compensated", "compensation_requested"})
_NEUTRAL_KINDS = frozenset({"retry_requested", "redriven"})  # requests to try again: neither success nor failure
# Entries that only repeat their neighbour: the next entry, or the one before.
_ECHOES = ".requested"


@dataclass(frozen=True)
class Moment:
    """One entry of a timeline. `start` and `end` are milliseconds since the saga began."""

    start: float
    end: float
    state: State
    lane: str  # a service, the watchdog, or the operator
    who: str  # the same, or the operator's name
    what: str  # in words, or the event's type
    entry: Json
    taken: float | None = None  # when the event that it follows from left the queue
    tries: int = 1  # the attempts that the entry stands for (`attempts.py`)

    @property
    def kind(self) -> str:
        """`attempt`, `event`, or the kind of a change of the whole saga."""
        return str(self.entry["kind"])

    @property
    def key(self) -> tuple[str | None, str | None]:
        """Step and direction; two nulls when it is about no step."""
        return self.entry["step"], self.entry["direction"]

    @property
    def is_echo(self) -> bool:
        """Whether it is a `*.requested` event, which its service publishes together with another one."""
        event = self.entry.get("event") or ""
        return event.endswith(_ECHOES) and event != CANCEL

    @property
    def fault(self) -> str:
        """The injected fault; empty without one."""
        return str(self.entry.get("fault") or "")

    @property
    def word(self) -> str:
        """The state in words; for a failed request, whether there was an answer."""
        status = self.entry.get("status_code")
        return f"HTTP {status}" if self.state is State.UNANSWERED and status else OUTCOMES[self.state]

    @property
    def detail(self) -> str:
        """The entry's error or reason."""
        return str(self.entry["detail"] or self.entry.get("reason") or "")


@dataclass(frozen=True)
class Story:
    """A saga with its moments in order; `now` is the end of the scale while it runs, in milliseconds."""

    saga: Json
    moments: tuple[Moment, ...]
    began: datetime
    now: float

    @property
    def is_orchestrated(self) -> bool:
        """Whether its steps were requests of the orchestrator; otherwise services reacted to each other's events."""
        return str(self.saga["saga_pattern"]) == "orchestrated"

    @property
    def has_ended(self) -> bool:
        """Whether it is completed or compensated."""
        return self.saga["status"] in ENDED

    @cached_property
    def end(self) -> float:
        """The end of the scale in milliseconds: the last moment's end, or now while the saga runs."""
        return max([self.over, *(moment.end for moment in self.moments)])

    @cached_property
    def over(self) -> float:
        """When the saga ended according to its service, or now; later entries do not change this."""
        ended_at = self.saga["ended_at"] if self.has_ended else None
        return self.now if ended_at is None else _since(self.began, datetime.fromisoformat(ended_at))

    @property
    def took(self) -> float:
        """The duration from its creation to its end or until now, as in the list of sagas."""
        return max(0.0, self.over - _since(self.began, datetime.fromisoformat(self.saga["created_at"])))

    @cached_property
    def turn(self) -> Moment | None:
        """The moment that made it turn back: the first refusal, cancellation or decision to compensate."""
        return next((moment for moment in self.moments if self._turns(moment)), None)

    @staticmethod
    def _turns(moment: Moment) -> bool:
        commanded = moment.kind in _BACKWARD_KINDS or moment.entry.get("event") == CANCEL
        return commanded or (moment.kind in {"attempt", "event"} and moment.state is State.FAILED)

    @cached_property
    def unanswered(self) -> tuple[Moment, ...]:
        """The attempts that failed or had no answer, each of which may stand for several requests."""
        return tuple(moment for moment in self.moments if moment.state is State.UNANSWERED)

    @property
    def books_open(self) -> float:
        """Milliseconds in which the services disagreed; of a saga undone after its end, since its undoing began."""
        start, end = self.windows[-1] if self.windows else (0.0, 0.0)
        return end - start

    @cached_property
    def windows(self) -> tuple[tuple[float, float], ...]:
        """The periods of disagreement: from the first local commit to the end, and again while it is undone."""
        first = next((each for each in self.moments if each.key[0] == "reserve_inventory" and _took(each)), None)
        if first is None:
            return ()
        done = next((each for each in self.moments if _completes(each)), None)
        if done is None:
            return ((first.end, self.over),)
        again = next((each for each in self.moments if each.start > done.start and _begins_undoing(each)), None)
        return ((first.end, done.end), *([] if again is None else [(again.start, self.over)]))


def _took(moment: Moment) -> bool:
    return moment.state is State.DONE and not moment.is_echo


def _completes(moment: Moment) -> bool:
    return moment.kind == "completed" or moment.entry.get("event") == "checkout.completed"


def _begins_undoing(moment: Moment) -> bool:
    return moment.state is State.UNDONE and moment.kind in {"attempt", "event"} and moment.entry.get("event") != CANCEL


def story_of(saga: Json, timeline: Sequence[Json], now: datetime) -> Story:
    """The story of `GET <base>/{id}` and of the items of its `/timeline`."""
    began = datetime.fromisoformat(timeline[0]["started_at"] if timeline else saga["created_at"])
    types = {entry.get("event_id"): entry.get("event") for entry in timeline}
    moments = tuple(_moment(entry, began, cancelled=types.get(entry.get("cause")) == CANCEL) for entry in timeline)
    return Story(saga, with_tries(moments), began, max(0.0, _since(began, now)))


def _moment(entry: Json, began: datetime, *, cancelled: bool) -> Moment:
    lane, who, what = _said(entry)
    start, end = (_since(began, datetime.fromisoformat(entry[name])) for name in ("started_at", "finished_at"))
    taken_at = entry.get("taken_at")
    taken = None if taken_at is None else _since(began, datetime.fromisoformat(taken_at))
    return Moment(start, end, _state(entry, cancelled=cancelled), lane, who, what, entry, taken)


def _since(began: datetime, then: datetime) -> float:
    return (then - began).total_seconds() * 1000


def _said(entry: Json) -> tuple[str, str, str]:
    """Return the lane, who it was, and what was done."""
    step = entry["step"]
    if entry["kind"] == "attempt":
        service = service_of(entry, "read_cart" if step == "release_cart" else step)
        return service, service, _named(step, entry["direction"])
    if entry["kind"] == "event":
        publisher = entry["publisher"]
        return (_asker(entry) if publisher == WINDOW else publisher), _publisher(entry), entry["event"]
    return _asker(entry), entry.get("by") or "the saga", entry["kind"].replace("_", " ")


def _asker(entry: Json) -> str:
    """Return the lane of a request to undo or to try again: the watchdog's, or a person's."""
    return WATCHDOG if entry.get("by") == WATCHDOG else "operator"


def _named(step: str, direction: str) -> str:
    if step == "release_cart":
        return step_name("read_cart", compensation=True)
    return step_name(step, compensation=direction == "compensation")


def _publisher(entry: Json) -> str:
    publisher = str(entry["publisher"])
    return str(entry.get("by") or "operator") if publisher == WINDOW else publisher


def _state(entry: Json, *, cancelled: bool) -> State:
    """Return the state. A step refused because of a cancellation counts as undone or skipped, not as declined."""
    if entry["kind"] == "stuck":
        return State.FAILED
    if entry["kind"] in _NEUTRAL_KINDS:
        return State.IDLE
    if entry["outcome"] == "unknown":
        return State.UNANSWERED
    if entry["outcome"] == "refused":
        return State.UNDONE if cancelled else State.FAILED
    backward = entry["direction"] == "compensation" or entry["step"] == "release_cart"
    if backward or entry["kind"] in _BACKWARD_KINDS or entry.get("event") in _BACKWARD_EVENTS:
        return State.UNDONE
    return State.DONE
