"""Links the entries of a timeline."""

from collections.abc import Sequence

from shared.saga.timeline_views import TimelineEntryOut

MAY_HAVE_BEEN_DONE = frozenset({"succeeded", "unknown"})


def with_undone(entries: Sequence[TimelineEntryOut]) -> list[TimelineEntryOut]:
    """Give each compensation the id of what it compensates: the step's latest action that was not refused.

    No action follows its compensation, so the order of the entries does not matter, and services' clocks may differ.
    """
    actions = {
        entry.step: entry.id for entry in entries if entry.direction == "action" and entry.outcome in MAY_HAVE_BEEN_DONE
    }
    return [
        entry.model_copy(update={"undoes": actions.get(entry.step)}) if entry.direction == "compensation" else entry
        for entry in entries
    ]
