"""What one has to know first of a saga that did not simply complete: what, where, why, and what is left over."""

from collections import Counter
from dataclasses import dataclass, replace

from dashboard.outcome import Outcome
from dashboard.story import Moment, Story
from dashboard.words import ACTIONS, LANES, State, counted, duration

MANY = 3  # requests without an answer; fewer are a moment's trouble, which the flow shows

SILENT = 2000.0  # ms without an event; ten times what a service takes to react under load


@dataclass(frozen=True)
class Banner:
    """A title, short facts below it, and whether it is to be seen from afar."""

    state: State
    is_loud: bool
    title: str
    facts: list[tuple[str, str]]
    jump: str  # the text of the link to where it happened; empty without


def banner(story: Story, outcome: Outcome) -> Banner | None:
    """The banner of a saga; None when there is nothing to say."""
    found, purpose = _banner(story, outcome), _on_purpose(story)
    if not purpose:
        return found
    title = f"{str(story.saga['status']).title()}, with failures injected"
    found = found or Banner(State.DONE, False, title, [], "to the first")
    return replace(found, facts=[*found.facts, ("On purpose", purpose)])


def _on_purpose(story: Story) -> str:
    """What was injected where, and how often; empty for nothing."""
    times = Counter(
        (name, moment.what) for moment in story.moments if moment.fault for name in moment.fault.split(", ")
    )
    return ", ".join(
        f"{name} at {what}{f', {count} times' if count > 1 else ''}" for (name, what), count in times.items()
    )


def _banner(story: Story, outcome: Outcome) -> Banner | None:
    status = story.saga["status"]
    if status == "stuck":
        return _stuck(story)
    if story.turn is not None:
        return _turned(story, outcome, story.turn)
    if status == "completed":
        return _late(story) if story.unanswered and story.unanswered_requests >= MANY else None
    if story.unanswered and story.moments[-1].state is State.UNANSWERED:
        return _waits(story)
    return _silent(story) if story.moments and story.end - story.moments[-1].end > SILENT else None


def first_trouble(story: Story) -> Moment | None:
    """Where the banner's link leads."""
    if story.turn is not None:
        return story.turn
    return next(iter(story.unanswered), None) or next((moment for moment in story.moments if moment.fault), None)


def _turned(story: Story, outcome: Outcome, turn: Moment) -> Banner:
    refused = turn.state is State.FAILED
    facts = [("Where", _where(story, turn)), ("Undone", _undone(story, turn)), ("Left over", outcome.left_over)]
    if story.unanswered_requests:
        facts.append(("Besides", f"{counted(story.unanswered_requests, 'request')} without an answer"))
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
    """The reason, without the names that the title has already."""
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


def _undone(story: Story, turn: Moment) -> str:
    done = [
        moment
        for moment in story.moments
        if moment.start >= turn.start and moment.state is State.UNDONE and moment.key[0] not in {None, "release_cart"}
    ]
    took = duration(story.end - turn.start)
    if not story.has_ended:
        return f"{counted(len(done), 'compensation')} so far, for {took} now"
    return f"in {took}, {counted(len(done), 'compensation')}" if done else f"nothing had to be, {took}"


def _late(story: Story) -> Banner:
    lost = story.unanswered
    first, last = lost[0], lost[-1]
    facts = [
        ("Where", f"{first.what} at {first.lane}"),
        ("Why", last.detail),
        ("For how long", duration(last.end - first.start)),
        ("Done", "once: every request carried the same key"),
    ]
    title = f"Completed, after {story.unanswered_requests} requests without an answer"
    return Banner(State.UNANSWERED, True, title, facts, "to it")


def _waits(story: Story) -> Banner:
    lost = story.moments[-1]
    facts = [
        ("Where", f"{lost.what} at {lost.lane}"),
        ("Why", lost.detail),
        ("So far", f"{counted(story.unanswered_requests, 'request')} without an answer"),
        ("Next", "it is asked again by itself"),
    ]
    return Banner(State.UNANSWERED, True, f"Waiting for {lost.lane}", facts, "to the first")


def _silent(story: Story) -> Banner:
    last = story.moments[-1]
    facts = [
        ("For", duration(story.end - last.end)),
        ("Last", f"{last.what} by {last.who}, +{duration(last.end)}"),
        ("Next", "whoever it is for will react, or the saga is turned back when its time is over"),
    ]
    return Banner(State.UNANSWERED, False, "Nothing is heard of it", facts, "")


def _stuck(story: Story) -> Banner:
    last = next((moment for moment in reversed(story.moments) if moment.detail), None)
    facts = [
        ("Why", str(story.saga["error"] or (last and last.detail) or "nothing was heard of it")),
        ("For how long", duration(story.end)),
        ("Next", "mend the cause, then have it tried again; it also goes on by itself"),
    ]
    return Banner(State.FAILED, True, "Stuck: it wants a person to look", facts, "to the first" if last else "")
