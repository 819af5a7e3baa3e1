"""What was undone of a saga that turned back, by the names of its compensations."""

from dataclasses import dataclass

from dashboard.flow import rails
from dashboard.story import Story
from dashboard.words import State, step_name


@dataclass(frozen=True)
class Compensations:
    """Those that were made: they undid something, or found nothing to undo."""

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
    """As the boxes show them of an orchestrated saga, and as its events tell of a choreographed one."""
    made = _of_requests(story) if story.is_orchestrated else _of_events(story)
    return Compensations(*([name for name, state in made.items() if state is wanted] for wanted in _STATES))


_STATES = (State.UNDONE, State.SKIPPED)


def _of_requests(story: Story) -> dict[str, State]:
    """The latest first in the definition comes back first."""
    return {node.name: node.state for node in reversed(rails(story)) if node.row == 2}


def _of_events(story: Story) -> dict[str, State]:
    """Each once, however often it was published; what was never done had nothing to undo."""
    done = {each.key[0] for each in story.moments if each.state is State.DONE and not each.is_echo}
    made: dict[str, State] = {}
    for moment in story.moments:
        step = moment.key[0]
        if moment.state is not State.UNDONE or (step is None and moment.what != "checkout.failed"):
            continue
        state = State.UNDONE if step is None or step in done else State.SKIPPED
        made.setdefault(step_name(step or "read_cart", compensation=True), state)
    return made
