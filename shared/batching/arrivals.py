"""An estimate of how many items arrive together, and so of how many are worth waiting for."""


class ArrivalEstimate:
    """The size of the latest batches: it rises at once with a larger batch, and halves with each smaller one."""

    def __init__(self) -> None:
        self.expected = 1

    def observe(self, count: int) -> None:
        """Take the number of items that were waiting when a batch was closed."""
        self.expected = max(count, self.expected // 2)
