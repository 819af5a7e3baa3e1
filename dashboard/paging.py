"""A saga's entries in parts, so that the size of a page is bounded."""

from dataclasses import dataclass, replace

from dashboard.story import Moment, Story

SHOWN = 200  # entries of a part: ten times those of a checkout that fails


@dataclass(frozen=True)
class Part:
    """The shown entries, counted from 1, and the number of all."""

    first: int
    of: int

    @property
    def last(self) -> int:
        """Its last entry."""
        return min(self.first + SHOWN - 1, self.of)

    @property
    def is_all(self) -> bool:
        """Whether it has all entries."""
        return self.of <= SHOWN

    @property
    def links(self) -> list[tuple[str, int]]:
        """Names and first entries of the other parts that this one links to."""
        end = _start(self.of)
        before = [("first", 1), ("earlier", self.first - SHOWN)] if self.first > 1 else []
        return [*before, *([("later", self.first + SHOWN), ("last", end)] if self.first < end else [])]

    @property
    def query(self) -> str:
        """Its query in a URL; empty for all entries."""
        return "" if self.is_all else f"?from={self.first}"

    def moments(self, story: Story) -> Story:
        """Return the story with the moments of this part."""
        return replace(story, moments=story.moments[self.first - 1 : self.last])


def part_of(story: Story, first: int | None) -> Part:
    """Return the part with this entry; without one, the last part of a running saga, the first of an ended one."""
    count = len(story.moments)
    wanted = first if first is not None else 1 if story.has_ended else count
    return Part(_start(max(1, min(wanted, count))), count)


def start_with(story: Story, moment: Moment | None) -> int:
    """Return the first entry of the part with this moment; of the first part without a moment."""
    index = next((index for index, each in enumerate(story.moments) if each is moment), 0)
    return _start(index + 1)


def _start(entry: int) -> int:
    return max(0, entry - 1) // SHOWN * SHOWN + 1
