"""The compensations of a saga that turned back."""

from dataclasses import dataclass

from dashboard.flow import rails
from dashboard.story import Story
from dashboard.words import State, step_name


@dataclass(frozen=True)
class Compensations:
    """The compensations that were made: those that undid something, and those that found nothing to undo."""

    undone: list[str]
    empty: list[str]

    def __len__(self) -> int:
        return len(self.undone) + len(self.empty)

    @property
    def words(self) -> str:
        """`Refund, Release stock; nothing to undo: Cancel order`; empty when none was made."""
        empty = f"nothing to undo: {', '.join(self.empty)}" if self.empty else ""
        return "; ".join(filter(None, [", ".join(self.undone), empty]))


def compensations(story: Story) -> Compensations:
    """Return them: of an orchestrated saga from its steps, of a choreographed one from its events."""
    made = _of_requests(story) if story.is_orchestrated else _of_events(story)
    return Compensations(*([name for name, state in made.items() if state is wanted] for wanted in _STATES))


_STATES = (State.UNDONE, State.SKIPPED)


def _of_requests(story: Story) -> dict[str, State]:
    """Return them in reverse order of the definition."""
    return {node.name: node.state for node in reversed(rails(story)) if node.row == 2}


def _of_events(story: Story) -> dict[str, State]:
    """Return each once, however often its event was published; a step that was never done had nothing to undo."""
    done = {each.key[0] for each in story.moments if each.state is State.DONE and not each.is_echo}
    made: dict[str, State] = {}
    for moment in story.moments:
        step = moment.key[0]
        if moment.state is not State.UNDONE or (step is None and moment.what != "checkout.failed"):
            continue
        state = State.UNDONE if step is None or step in done else State.SKIPPED
        made.setdefault(step_name(step or "read_cart", compensation=True), state)
    return made
