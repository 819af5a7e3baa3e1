"""Operators who look: the token that each has given, in this process's memory, by a random id that his browser has.

A browser sends its cookies to every port of a host, whichever program listens there. So a cookie has no token, which
every service would accept, but an id that means something to this process alone.
"""

import secrets
import threading
import time
from collections import OrderedDict

MOST = 256  # at once; for one more, the one that was not used for longest is forgotten
IDLE_SECONDS = 12 * 3600.0  # a working day without a look: the browser was closed, or forgotten


class OperatorSessions:
    """The sessions of one process. Safe to use from many threads."""

    def __init__(self, most: int = MOST, idle_seconds: float = IDLE_SECONDS) -> None:
        """Keeps `most` sessions, each until it was not used for `idle_seconds`."""
        self._most, self._idle_seconds = most, idle_seconds
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()  # token, and when it was used last

    def begin(self, token: str) -> str:
        """The id of a new session with this token, which a service has accepted."""
        session = secrets.token_urlsafe()
        with self._lock:
            self._sessions[session] = token, time.monotonic()
            if len(self._sessions) > self._most:
                self._sessions.popitem(last=False)
        return session

    def end(self, session: str) -> None:
        """Forget this session's token, if there is such a session."""
        with self._lock:
            self._sessions.pop(session, None)

    def token_of(self, session: str) -> str:
        """The token of this session; empty when there is none, or none any more."""
        now = time.monotonic()
        with self._lock:
            token, used_at = self._sessions.pop(session, ("", 0.0))
            if not token or now - used_at >= self._idle_seconds:
                return ""
            self._sessions[session] = token, now  # the latest again
            return token
