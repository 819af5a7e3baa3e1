"""The saga over time: a lane for each service, and one for the periods in which the services disagree."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from dashboard.attempts import first_attempt
from dashboard.scale import Scale
from dashboard.story import Moment, Story
from dashboard.thinning import thinned
from dashboard.words import LANES, SERVICES, State, duration

LONG_ENOUGH = 5.0  # ms; a shorter gap between two attempts is not drawn as a wait
LABELLED = 14.0  # percent; a narrower period has no room for its duration
TOP, BOOKS, LANE = 24, 34, 40  # px: the axis, the lane of the books, each service's lane
FOOT = 26  # px, for the label of the turning point
LEGEND = {
    State.DONE: "done",
    State.UNANSWERED: "failed",
    State.FAILED: "refused",
    State.UNDONE: "undoing",
    State.RUNNING: "running",
}


@dataclass(frozen=True)
class Span:
    """A period in milliseconds; `state` is None for a wait."""

    lane: str
    start: float
    end: float
    state: State | None
    label: str


@dataclass(frozen=True)
class Bar:
    """A span as it is drawn: `x` and `width` in percent, `y` in pixels."""

    x: float
    y: int
    width: float
    state: State | None
    label: str
    is_dot: bool


@dataclass(frozen=True)
class Window:
    """A period in which the services disagree."""

    x: float
    width: float
    words: str
    label: str  # empty without room for it


@dataclass(frozen=True)
class Drawing:
    """The drawing on one scale; `lanes` are names with the y of their upper edge."""

    name: str
    lanes: list[tuple[str, int]]
    bars: list[Bar]
    windows: list[Window]
    ticks: list[tuple[float, str]]
    folds: list[tuple[float, float, str]]
    turn: float | None
    height: int
    books_y: int = TOP


@dataclass(frozen=True)
class Swimlane:
    """The drawing on a true scale and, if there is anything to fold, on one with folded waits."""

    drawings: list[Drawing]
    legend: list[tuple[str, str]]  # class and word
    words: str


def swimlane(story: Story, until: float = 0.0) -> Swimlane:
    """Draw lanes for the participants and everybody else who took part.

    A wait is between two attempts, or between an event and the one that follows from it.
    The scale ends with the story, or `until` if that is later (milliseconds), so that two can be compared.
    """
    end = max(story.end, until)
    spans = [*_attempts(story), *_events(story), *_under_way(story)]
    there = dict.fromkeys([*SERVICES.values(), *(span.lane for span in spans)])
    lanes = [*(name for name in LANES if name in there), *(name for name in there if name not in LANES)]
    marks = [mark for span in spans for mark in (span.start, span.end)]
    scales = [Scale(marks, end, fold=fold) for fold in (False, True)]
    drawings = [_drawing(story, spans, lanes, scale) for scale in scales if scale is scales[0] or scale.folds]
    words = f"Timeline of {duration(story.end)} in {len(lanes)} lanes; the list below says the same in words"
    return Swimlane(drawings, _legend(spans), words)


def _attempts(story: Story) -> Iterator[Span]:
    attempts = [moment for moment in story.moments if moment.kind == "attempt"]
    for before, moment in pairwise(attempts):
        if before.key == moment.key and moment.start - before.end > LONG_ENOUGH:
            yield Span(moment.lane, before.end, moment.start, None, _gap_label(moment))
    for moment in attempts:
        label = f"{moment.what}, attempt {moment.entry['attempt']}: {moment.word}{_purpose(moment)}"
        yield Span(moment.lane, moment.start, moment.end, moment.state, label)


def _gap_label(moment: Moment) -> str:
    """Return the label of the time between the previous attempt and this one."""
    if moment.tries == 1:
        return f"Waits before the next attempt at {moment.what}"
    return f"Attempts {first_attempt(moment)} and later at {moment.what}, of which only the latest is kept"


def _events(story: Story) -> Iterator[Span]:
    events = [moment for moment in story.moments if moment.kind == "event"]
    causes = {moment.entry["event_id"]: moment for moment in events}
    for moment in events:
        if moment.is_echo:
            continue
        cause = causes.get(moment.entry["cause"])
        if cause is not None and moment.start > cause.start:
            yield from _wait_and_work(cause, moment)
        published = f"{moment.who} publishes {moment.what}{_purpose(moment)}"
        yield Span(moment.lane, moment.start, moment.start, moment.state, published)


def _wait_and_work(cause: Moment, moment: Moment) -> Iterator[Span]:
    """Split the time between an event and the one that follows into queueing and handling, where that is known."""
    if moment.taken is None:
        wait = f"{cause.what} waits, or {moment.who} handles it"
        yield Span(moment.lane, cause.start, moment.start, None, wait)
        return
    taken = min(max(moment.taken, cause.start), moment.start)  # clocks of services may differ
    waits, works = f"{cause.what} waits in outbox and queue", f"{moment.who} handles {cause.what}{_purpose(moment)}"
    yield Span(moment.lane, cause.start, taken, None, waits)
    yield Span(moment.lane, taken, moment.start, moment.state, works)


def _purpose(moment: Moment) -> str:
    return f" (on purpose: {moment.fault})" if moment.fault else ""


def _under_way(story: Story) -> Iterator[Span]:
    """Return the requests of a running saga that have no answer yet."""
    if story.has_ended or not story.is_orchestrated or not story.moments:
        return
    last = story.moments[-1]
    if last.kind == "attempt" and last.state is State.UNANSWERED:
        yield Span(last.lane, last.end, story.end, None, f"Waits before the next attempt at {last.what}")
    elif story.end > last.end:
        yield Span(_lane_of_running(story, last), last.end, story.end, State.RUNNING, "Under way")


def _lane_of_running(story: Story, last: Moment) -> str:
    running = (each["name"] for each in story.saga["steps"] if each["status"] in {"running", "compensating"})
    return SERVICES.get(next(running, ""), last.lane)


def _drawing(story: Story, spans: list[Span], lanes: list[str], scale: Scale) -> Drawing:
    places = {name: TOP + BOOKS + LANE * index for index, name in enumerate(lanes)}
    folds = scale.folds
    return Drawing(
        name="folded" if folds else "scale",
        lanes=list(places.items()),
        bars=thinned(
            [_bar(each, places[each.lane], scale) for each in sorted(spans, key=lambda it: it.state is not None)]
        ),
        windows=[_window(start, end, scale) for start, end in story.windows],
        ticks=[] if folds else scale.ticks,
        folds=folds,
        turn=None if story.turn is None else scale.at(story.turn.end),
        height=TOP + BOOKS + LANE * len(lanes) + (FOOT if story.turn else 0),
    )


def _bar(span: Span, y: int, scale: Scale) -> Bar:
    x = scale.at(span.start)
    took = f", for {duration(span.end - span.start)}" if span.end > span.start else ""
    label = f"{span.label} · after {duration(span.start)}{took}"
    return Bar(x, y, round(scale.at(span.end) - x, 3), span.state, label, span.start == span.end)


def _window(start: float, end: float, scale: Scale) -> Window:
    x, words = scale.at(start), duration(end - start)
    width = round(scale.at(end) - x, 3)
    tooltip = f"Books open for {words}: some services had done their part, others not"
    return Window(x, width, tooltip, words if width > LABELLED else "")


def _legend(spans: list[Span]) -> list[tuple[str, str]]:
    """Return the legend; entries that come and go during a successful checkout are last, so that none moves."""
    there = {State.DONE, *(span.state for span in spans)}
    words = [(state.value, word) for state, word in LEGEND.items() if state in there]
    waiting = [("wait", "waiting")] if None in there else []
    return [("window", "books open"), *words[:1], *waiting, *words[1:]]
