"""The picture of a saga: actions and compensations in two rows if orchestrated, a sequence diagram if choreographed."""

from collections.abc import Mapping
from dataclasses import dataclass

from dashboard.attempts import attempts
from dashboard.story import Moment, Story
from dashboard.words import PIVOT, SERVICES, WORDS, State, counted, duration, step_name

DRAWN = 60  # events; half of them from the beginning and half from the end, when there are more
LONG_WAIT = 400.0  # ms; a longer wait is shown with its duration
FIRST, LAST, BEFORE = "read_cart", "confirm_order", "before it began"
ROW, END_ROW, WAIT_ROW, HEAD = 46, 26, 40, 64  # px: of an event; added by an end and by a wait; above the first
WELL = HEAD + 6 * ROW + END_ROW  # the least height: that of a successful checkout


@dataclass(frozen=True)
class Node:
    """An action or compensation of a step: its column from left to right, its row (1 actions, 2 compensations)."""

    column: int
    row: int
    state: State
    name: str
    service: str
    note: str
    pivot: bool = False
    turn: bool = False  # here the saga turned back
    may_have_run: bool = False  # a request had no answer

    @property
    def word(self) -> str:
        """The state in words, and the duration or the number of attempts."""
        return " · ".join(filter(None, [WORDS[self.state], self.note]))


def rails(story: Story) -> list[Node]:
    """Return the actions, and below them the compensations that were requested or are still to come."""
    tries: dict[tuple[str, bool], list[Moment]] = {}
    for moment in story.moments:
        if moment.kind == "attempt":
            tries.setdefault(_side(moment), []).append(moment)
    steps = [FIRST, *(step["name"] for step in story.saga["steps"]), LAST]
    failed = next((name for name in steps if _failed(tries.get((name, False), []))), None)
    going_back = story.turn is not None and not story.has_ended
    nodes = []
    for column, step in enumerate(steps, 1):
        out, back = tries.get((step, False), []), tries.get((step, True), [])
        nodes.append(_action(story, column, step, out))
        ran = nodes[-1].state is not State.IDLE
        if step != LAST and (back or (going_back and ran)):
            nodes.append(_compensation(column, step, nodes[-1], back, turn=step == failed))
    return nodes


def _action(story: Story, column: int, step: str, tries: list[Moment]) -> Node:
    state, note = _last_state(tries), _note(tries)
    if not tries and step == FIRST:  # carrito froze the cart itself, and then had the saga run
        state, note = State.DONE, BEFORE
    elif not tries and step in {each["name"] for each in story.saga["steps"] if each["status"] == "running"}:
        state = State.RUNNING
    lost = any(moment.state is State.UNANSWERED for moment in tries)
    return Node(column, 1, state, step_name(step), _service(step, tries), note, step == PIVOT, may_have_run=lost)


def _compensation(column: int, step: str, action: Node, tries: list[Moment], *, turn: bool) -> Node:
    """Return a compensation; it found nothing to undo if its action never succeeded, as far as is known."""
    state = _last_state(tries)
    if state is State.UNDONE and action.state is not State.DONE and not action.may_have_run:
        state = State.SKIPPED
    return Node(column, 2, state, step_name(step, compensation=True), _service(step, tries), _note(tries), turn=turn)


def _service(step: str, tries: list[Moment]) -> str:
    return tries[0].lane if tries else SERVICES.get(step, "another service")


def _side(moment: Moment) -> tuple[str, bool]:
    step, direction = moment.key
    return ("read_cart", True) if step == "release_cart" else (str(step), direction == "compensation")


def _failed(tries: list[Moment]) -> bool:
    return bool(tries) and tries[-1].state is State.FAILED


def _last_state(out: list[Moment]) -> State:
    return out[-1].state if out else State.IDLE


def _note(tries: list[Moment]) -> str:
    if any(moment.state is State.UNANSWERED for moment in tries):
        return counted(attempts(tries), "attempt")
    return duration(tries[-1].end - tries[-1].start) if tries else ""


@dataclass(frozen=True)
class Message:
    """An event from its publisher's lifeline to its consumer's; `x` in percent, `y` in pixels."""

    y: int
    x: float
    to_x: float | None  # None: no event follows (yet)
    state: State
    label: str
    at: str
    waited: str  # the time until the event that follows, if it was long
    by: str
    is_end: bool

    @property
    def middle(self) -> float:
        """The place of its label, in percent."""
        return self.x if self.to_x is None else (self.x + self.to_x) / 2


@dataclass(frozen=True)
class Sequence:
    """Lifelines with their x in percent, and the messages between them; `height` in pixels."""

    lanes: Mapping[str, float]
    messages: list[Message]
    height: int
    left_out: int = 0  # events in the middle that are not drawn
    gap_y: int = 0  # the place of the note about them


def sequence(story: Story) -> Sequence:
    """Return the events in order, evenly spaced, each with the event that follows from it."""
    events = [moment for moment in story.moments if moment.kind == "event" and not moment.is_echo]
    lanes = list(dict.fromkeys(["carrito", "inventario", "pagos", *(moment.lane for moment in events)]))
    places = {name: 100 * (index + 0.5) / len(lanes) for index, name in enumerate(lanes)}
    reactions: dict[str, Moment] = {}
    for moment in story.moments:
        reactions.setdefault(moment.entry.get("cause") or "", moment)
    messages, y, gap_y = [], HEAD, 0
    drawn = events if len(events) <= DRAWN else [*events[: DRAWN // 2], *events[-(DRAWN // 2) :]]
    for number, moment in enumerate(drawn):
        if len(drawn) < len(events) and number == DRAWN // 2:
            gap_y, y = y, y + ROW
        message = _message(moment, reactions.get(moment.entry["event_id"]), places, y, has_ended=story.has_ended)
        messages.append(message)
        y += ROW + (WAIT_ROW if message.waited else 0) + (END_ROW if message.to_x is None else 0)
    y = y if story.turn else max(y, WELL)
    return Sequence(places, messages, y - 14, len(events) - len(drawn), gap_y)


def _message(
    moment: Moment, reaction: Moment | None, places: Mapping[str, float], y: int, *, has_ended: bool
) -> Message:
    event, at, x = moment.what, f"+{duration(moment.start)}", places[moment.lane]
    if reaction is None:
        ending = {"checkout.failed": " · undone, the cart is open again", "checkout.completed": " · completed"}
        at += ending.get(event) or _awaited(moment, has_ended=has_ended)
        return Message(y + 10, x, None, moment.state, event, at, "", "", event in ending)
    waited = reaction.start - moment.start
    long = duration(waited) if waited > LONG_WAIT else ""
    return Message(y, x, places[reaction.lane], moment.state, event, at, long, reaction.lane, is_end=False)


def _awaited(moment: Moment, *, has_ended: bool) -> str:
    """Describe the event that is awaited; why it has not come is not known."""
    who = moment.entry.get("handled_by")
    if has_ended or who is None:
        return " · no event followed" if has_ended else ""
    return f" · no event from {who} yet"
