"""Bounded waits, with a line of progress for each thing awaited."""

import time
from collections.abc import Callable

from stack.errors import StackError

# Short enough that nobody notices it, long enough to leave the processor to what is starting.
POLL_SECONDS = 0.05


def wait_until(check: Callable[[], bool], seconds: float) -> bool:
    """True as soon as `check()` is; False when it still isn't after so many seconds."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def await_ready(what: str, check: Callable[[], bool], seconds: float) -> None:
    """Wait for `what`, telling so; StackError when it isn't ready in time."""
    print(f"  {what} ... ", end="", flush=True)
    began = time.monotonic()
    try:
        ready = wait_until(check, seconds)
    except StackError:
        print("failed")
        raise
    if not ready:
        print("not ready")
        raise StackError(f"{what} was not ready after {seconds:.0f} seconds.")
    print(f"ready ({time.monotonic() - began:.1f} s)")
