"""When a command whose outcome is unknown is attempted again."""

from collections.abc import Callable


def back_off(
    first: float, most: float, unanswered: int, left: float | None, uniform: Callable[[float, float], float]
) -> float:
    """Seconds to wait: doubled with each attempt from `first` up to `most`, with jitter that `uniform` draws.

    Not longer than the seconds `left` to go forward, if there are any.
    """
    seconds = uniform(first, max(first, min(most, first * 2 ** min(unanswered, 20))))
    return min(seconds, left) if left is not None and left > 0 else seconds
