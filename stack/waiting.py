"""Waits, with a line of progress for each thing awaited. Their bound is there so that nothing hangs for ever."""

import time
from collections.abc import Callable

from stack.errors import NotReadyError, StackError

# Short enough that nobody notices it, long enough to leave the processor to what is starting.
POLL_SECONDS = 0.05
# What is alive and still starting is waited for: with fifty others on each processor, seconds become minutes.
HANGING_SECONDS = 600.0
TELL_SECONDS = 15.0  # how often people are told what is waited for


def wait_until(check: Callable[[], bool], seconds: float) -> bool:
    """True as soon as `check()` is; False when it still isn't after so many seconds."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def await_ready(
    what: str, check: Callable[[], bool], seconds: float = HANGING_SECONDS, state: Callable[[], str] = str
) -> None:
    """Wait for `what`, telling so, and now and then its `state()`; NotReadyError when it isn't ready in time."""
    wait = _Wait(what, state)
    try:
        ready = wait_until(lambda: wait.told(check()), seconds)
    except StackError:
        wait.end("failed")
        raise
    if not ready:
        wait.end("not ready")
        raise NotReadyError(f"{what} was not ready after {seconds:.0f} seconds. {state()}".rstrip())
    wait.end(f"ready ({wait.seconds:.1f} s)")


class _Wait:
    """What is printed of one wait."""

    def __init__(self, what: str, state: Callable[[], str]) -> None:
        self._what, self._state = what, state
        self._began = time.monotonic()
        self._tell_at = TELL_SECONDS
        print(f"  {what} ... ", end="", flush=True)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def told(self, ready: bool) -> bool:
        """The same, having told what is waited for when it takes long."""
        if not ready and self.seconds > self._tell_at:
            self._tell_at += TELL_SECONDS
            print(f"\n    {self.seconds:.0f} s: {self._state() or 'not ready yet'}", end="", flush=True)
        return ready

    def end(self, how: str) -> None:
        """Say how it ended, on a line that says of what when there were others in between."""
        print(how if self._tell_at == TELL_SECONDS else f"\n  {self._what} ... {how}")
