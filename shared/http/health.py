"""Health checks of a service's dependencies for `/health`. Everybody may call it, so its cost is bounded."""

import threading
import time
from collections.abc import Callable

Check = Callable[[], None]  # raises when the dependency is missing
FRESH_SECONDS = 1.0  # callers need no fresher result; a check of a frozen server takes twice as long


class SharedCheck:
    """One check whose result concurrent callers share.

    A caller within `fresh_seconds` of the last result, or while the next check runs, gets that result; callers before
    the first result wait for it. So a process runs one check at a time, at most one each `fresh_seconds`, and a frozen
    server occupies one thread.
    """

    def __init__(self, check: Check, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._check = check
        self._fresh_seconds = fresh_seconds
        self._ended = threading.Condition()
        self._running = False
        self._state: str | None = None
        self._fresh_until = 0.0

    def state(self) -> str:
        """Return "ok", or the first line of the error."""
        with self._ended:
            self._ended.wait_for(lambda: self._state is not None or not self._running)
            if self._state is not None and (self._running or time.monotonic() < self._fresh_until):
                return self._state
            self._running = True
        try:
            self._state = _state_of(self._check)
            self._fresh_until = time.monotonic() + self._fresh_seconds
            return self._state
        finally:
            with self._ended:
                self._running = False
                self._ended.notify_all()


def _state_of(check: Check) -> str:
    try:
        check()
    except Exception as error:  # noqa: BLE001, RUF100  (any error is the answer)
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return "ok"
