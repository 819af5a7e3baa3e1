"""The banner of a saga that did not simply complete: what happened, where, why, and what is left over."""

from dataclasses import dataclass, replace

from dashboard.attempts import failed_requests, marked
from dashboard.compensations import compensations
from dashboard.hindrance import Hindrance, hindrance, tried
from dashboard.outcome import Outcome
from dashboard.story import Moment, Story
from dashboard.words import ACTIONS, LANES, State, duration

MANY = 3  # failed requests; fewer are shown in the flow alone
Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Banner:
    """A title, short facts below it, and whether it is highlighted."""

    state: State
    is_loud: bool
    title: str
    facts: Facts
    jump: str  # the text of the link to where it happened; empty without


def banner(story: Story, outcome: Outcome) -> Banner | None:
    """The banner of a saga; None when there is nothing to say."""
    found, purpose = _banner(story, outcome), _on_purpose(story)
    if not purpose:
        return found
    title = f"{str(story.saga['status']).title()}, with failures on purpose"
    found = found or Banner(State.DONE, False, title, [], "to the first")
    return replace(found, facts=[*found.facts, ("On purpose", purpose)])


def _on_purpose(story: Story) -> str:
    """List the injected faults: which, where, and how often; empty for none."""
    suffered: dict[tuple[str, str], list[Moment]] = {}
    for moment in story.moments:
        for name in filter(None, moment.fault.split(", ")):
            suffered.setdefault((name, moment.what), []).append(moment)
    times = {where: marked(moments) for where, moments in suffered.items()}
    return "; ".join(
        f"{name} at {what}{f', {count} times' if count.number > 1 else ''}" for (name, what), count in times.items()
    )


def _banner(story: Story, outcome: Outcome) -> Banner | None:
    status, held_up = story.saga["status"], hindrance(story)
    if status == "stuck":
        return _stuck(story, held_up)
    if story.turn is not None:
        turned = _turned(story, outcome, story.turn)
        return turned if held_up is None else _held_up(story, turned, held_up)
    if held_up is not None:
        return _waits(story, held_up) if story.is_orchestrated else _silent(story, held_up)
    is_late = status == "completed" and failed_requests(story.moments).number >= MANY
    return _late(story) if is_late else None


def first_trouble(story: Story) -> Moment | None:
    """Return the moment that the banner's link leads to."""
    held_up = hindrance(story)
    if held_up is not None:
        return held_up.first
    if story.turn is not None:
        return story.turn
    return next(iter(story.unanswered), None) or next((moment for moment in story.moments if moment.fault), None)


def _turned(story: Story, outcome: Outcome, turn: Moment) -> Banner:
    refused = turn.state is State.FAILED
    facts = [("Where", _where(story, turn)), ("Undone", _undone(story, turn)), ("Left over", outcome.left_over)]
    failed = failed_requests(story.moments)
    if failed.number:
        facts.append(("Besides", f"{failed.of('request')} failed"))
    jump = "to the refusal" if refused else "to the decision"
    return Banner(State.FAILED if refused else State.UNDONE, refused, _title(story, turn), facts, jump)


def _title(story: Story, turn: Moment) -> str:
    why = _why(story, turn)
    if turn.state is State.FAILED:
        what = f"{turn.what} was refused" if turn.kind == "attempt" else f"{turn.lane} said no: {turn.what}"
    elif turn.kind == "compensating":
        lost = story.unanswered
        what = f"Turned back: {lost[-1].what} at {lost[-1].lane}" if lost else "Turned back"
    else:
        what = f"Undone by {turn.who}" if _was_completed(story, turn) else f"Turned back by {turn.who}"
    return f"{what}: {why}" if why else what


def _why(story: Story, turn: Moment) -> str:
    """Return the reason without the names that are in the title."""
    why = turn.detail or str(story.saga["error"] or "")
    for said in (*ACTIONS, *LANES, turn.who):
        why = why.removeprefix(f"{said}: ")
    return why


def _was_completed(story: Story, turn: Moment) -> bool:
    return any(
        moment.start <= turn.start and "completed" in {moment.kind, *moment.what.split(".")} for moment in story.moments
    )


def _where(story: Story, turn: Moment) -> str:
    at = f"+{duration(turn.end)}"
    if turn.state is State.FAILED:
        return f"{turn.what} at {turn.lane}, {at}"
    return f"{'after it had completed' if _was_completed(story, turn) else 'while it ran'}, {at}"


def _held_up(story: Story, turned: Banner, held_up: Hindrance) -> Banner:
    """Prefer what fails now to why the saga turned back."""
    now = [("Now", tried(held_up)), ("Turned back", turned.title)]
    facts = [*filter(_says_something, now), *turned.facts]
    what = "Compensating" if story.saga["status"] == "compensating" else "Told to turn back"
    return Banner(State.UNANSWERED, True, f"{what}, but {_named(held_up)}", facts, "to the first")


def _named(held_up: Hindrance) -> str:
    """Return the failure as part of a sentence, with its reason, for the title."""
    what = held_up.what.replace("No event", "no event", 1)
    return f"{what}: {held_up.why}" if held_up.why else what


def _says_something(fact: tuple[str, str]) -> bool:
    return bool(fact[1])


def _undone(story: Story, turn: Moment) -> str:
    made, took = compensations(story), duration(story.over - turn.end)
    if not story.has_ended:
        return f"{made.words or 'nothing'} so far, for {took} now"
    return f"{made.words}, in {took}" if len(made) else f"nothing had to be, {took}"


def _late(story: Story) -> Banner:
    lost = story.unanswered
    first, last = lost[0], lost[-1]
    facts = [
        ("Where", f"{first.what} at {first.lane}"),
        ("Why", last.detail),
        ("For how long", duration(last.end - first.start)),
        ("Done", "once: every request carried the same key"),
    ]
    title = f"Completed, after {failed_requests(story.moments).of('failed request')}"
    return Banner(State.UNANSWERED, True, title, facts, "to it")


def _waits(story: Story, held_up: Hindrance) -> Banner:
    facts = [
        ("Where", held_up.what),
        ("Why", held_up.why),
        ("So far", f"{tried(held_up)}, {failed_requests(story.moments).of('request')} failed"),
        ("Next", "it is tried again by itself"),
    ]
    return Banner(State.UNANSWERED, True, f"Waiting for {held_up.service}", facts, "to the first")


def _silent(story: Story, held_up: Hindrance) -> Banner:
    facts = [
        ("For", duration(story.end - held_up.first.end)),
        ("Last", f"{held_up.first.what} by {held_up.first.who}, +{duration(held_up.first.end)}"),
        ("Next", "it goes on with that event, or is turned back when its time is over"),
    ]
    return Banner(State.UNANSWERED, False, held_up.what, facts, "to the last")


def _stuck(story: Story, held_up: Hindrance | None) -> Banner:
    """Describe a stuck saga by what fails now, and beside it by why it turned back."""
    noted = next((moment for moment in reversed(story.moments) if moment.kind == "stuck"), None)
    known = "" if noted is None else noted.detail
    why = known or "not known" if held_up is None else f"{held_up.what}: {held_up.why}"
    since = "" if held_up is None else duration(story.end - held_up.first.start)
    turned = "" if story.turn is None else _title(story, story.turn)
    facts = [
        ("Why", why),
        ("For how long", since),
        ("So far", "" if held_up is None else tried(held_up)),
        ("Turned back", turned),
        ("Next", "mend the cause, then have it tried again; it also goes on by itself"),
    ]
    title = "Stuck: it wants a person to look"
    return Banner(State.FAILED, True, title, [*filter(_says_something, facts)], "to the first" if held_up else "")
