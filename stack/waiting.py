"""Waits with a line of progress and a time limit, so that nothing hangs for ever."""

import time
from collections.abc import Callable

from stack.errors import NotReadyError, StackError

# Short enough not to be noticed, long enough to leave the processor to processes that start.
POLL_SECONDS = 0.05
# For a process that is alive and starting: on a machine under load, seconds become minutes.
HANGING_SECONDS = 600.0
TELL_SECONDS = 15.0  # how often people are told what is awaited


def wait_until(check: Callable[[], bool], seconds: float) -> bool:
    """Return True as soon as `check()` is true; False after so many seconds."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def await_ready(
    what: str, check: Callable[[], bool], seconds: float = HANGING_SECONDS, state: Callable[[], str] = str
) -> None:
    """Wait for `what`; print that, and sometimes its `state()`. Raises `NotReadyError` when that takes too long."""
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
    """The printed progress of one wait."""

    def __init__(self, what: str, state: Callable[[], str]) -> None:
        self._what, self._state = what, state
        self._began = time.monotonic()
        self._tell_at = TELL_SECONDS
        print(f"  {what} ... ", end="", flush=True)

    @property
    def seconds(self) -> float:
        """The seconds since it began."""
        return time.monotonic() - self._began

    def told(self, ready: bool) -> bool:
        """Print what is awaited if that takes long; return `ready`."""
        if not ready and self.seconds > self._tell_at:
            self._tell_at += TELL_SECONDS
            print(f"\n    {self.seconds:.0f} s: {self._state() or 'not ready yet'}", end="", flush=True)
        return ready

    def end(self, how: str) -> None:
        """Print how the wait ended, with its name if other lines were printed meanwhile."""
        print(how if self._tell_at == TELL_SECONDS else f"\n  {self._what} ... {how}")
