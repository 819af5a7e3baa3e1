"""What a service needs, as its `/health` shows it. Anybody may ask for that, so what it costs has a bound."""

import threading
import time
from collections.abc import Callable

Check = Callable[[], None]  # raises when what it checks is missing
FRESH_SECONDS = 1.0  # sooner than anybody acts on it; and a check of a server that is frozen takes twice as long


class SharedCheck:
    """A check that is made once for all who ask at about the same time, by the first of them.

    Whoever asks within `fresh_seconds` of a result, or while the next check is under way, has that result; who asks
    before there is any waits for the first. So a process makes at most one check at a time, and one each
    `fresh_seconds`, and a server that is frozen holds one thread.
    """

    def __init__(self, check: Check, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._check = check
        self._fresh_seconds = fresh_seconds
        self._ended = threading.Condition()
        self._running = False
        self._state: str | None = None
        self._fresh_until = 0.0

    def state(self) -> str:
        """The word ok, or the first line of what is wrong."""
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
    except Exception as error:  # noqa: BLE001, RUF100  (whatever it is, it is the answer)
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return "ok"
