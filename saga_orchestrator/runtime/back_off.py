"""The time until a command whose outcome is unknown is attempted again."""

from collections.abc import Callable


def back_off(
    first: float, most: float, unanswered: int, left: float | None, uniform: Callable[[float, float], float]
) -> float:
    """Return the seconds to wait: doubled with each attempt from `first` up to `most`, with jitter drawn by `uniform`.

    Not longer than `left`, the seconds until the forward deadline, if those are given.
    """
    seconds = uniform(first, max(first, min(most, first * 2 ** min(unanswered, 20))))
    return min(seconds, left) if left is not None and left > 0 else seconds
