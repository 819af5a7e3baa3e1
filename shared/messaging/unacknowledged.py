"""The messages that a channel delivered, and that are not acknowledged yet."""

import itertools

from shared.messaging.delivery import Delivery


class Unacknowledged(dict[int, Delivery]):
    """Messages by their delivery tags, in the order of their delivery."""

    def settle(self, tags: set[int]) -> tuple[list[int], list[int]]:
        """Remove these messages: first those that no other one precedes, for which one `multiple` frame is enough."""
        oldest = list(itertools.takewhile(tags.__contains__, self))
        for tag in oldest:
            del self[tag]
        others = sorted(tags.difference(oldest))
        for tag in others:
            self.pop(tag, None)
        return oldest, others

    def lose(self) -> None:
        """Remove all, since their connection has ended."""
        for delivery in self.values():
            delivery.lost = True
        self.clear()
