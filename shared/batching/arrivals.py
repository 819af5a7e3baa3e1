"""How many come together under load, and so how many are worth waiting for."""


class Crowd:
    """How many came lately: one that comes alone after many is soon not kept waiting any more."""

    def __init__(self) -> None:
        self.expected = 1

    def came(self, count: int) -> None:
        """So many came together this time."""
        self.expected = max(count, self.expected // 2)
