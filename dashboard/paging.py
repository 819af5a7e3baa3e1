"""A saga's entries in parts, so that what a page has does not grow with its saga."""

from dataclasses import dataclass, replace

from dashboard.story import Moment, Story

SHOWN = 200  # entries of a part: some ten screens, and ten times what a checkout takes that goes wrong


@dataclass(frozen=True)
class Part:
    """Which entries are shown, counted from 1, of how many."""

    first: int
    of: int

    @property
    def last(self) -> int:
        """The last one of it."""
        return min(self.first + SHOWN - 1, self.of)

    @property
    def is_all(self) -> bool:
        """Whether there are no others."""
        return self.of <= SHOWN

    @property
    def links(self) -> list[tuple[str, int]]:
        """What the other parts are called from here, with the first entry of each."""
        end = _start(self.of)
        before = [("first", 1), ("earlier", self.first - SHOWN)] if self.first > 1 else []
        return [*before, *([("later", self.first + SHOWN), ("last", end)] if self.first < end else [])]

    @property
    def query(self) -> str:
        """What a URL says of it; empty where nothing need be said."""
        return "" if self.is_all else f"?from={self.first}"

    def moments(self, story: Story) -> Story:
        """The story with these of its moments."""
        return replace(story, moments=story.moments[self.first - 1 : self.last])


def part_of(story: Story, first: int | None) -> Part:
    """The part that has this entry; without one, the last part while the saga runs, and then the first."""
    count = len(story.moments)
    wanted = first if first is not None else 1 if story.has_ended else count
    return Part(_start(max(1, min(wanted, count))), count)


def start_with(story: Story, moment: Moment | None) -> int:
    """The first entry of the part that has this moment; of the first part when there is none."""
    index = next((index for index, each in enumerate(story.moments) if each is moment), 0)
    return _start(index + 1)


def _start(entry: int) -> int:
    return max(0, entry - 1) // SHOWN * SHOWN + 1
