"""Operators' sessions: the token of each, in this process's memory, by a random id in the browser's cookie.

A browser sends its cookies to every port of a host, whichever program listens there. So the cookie does not contain the
token, which every service would accept, but an id that is valid in this process only.
"""

import secrets
import threading
import time
from collections import OrderedDict

MOST = 256  # sessions; one more replaces the least recently used one
IDLE_SECONDS = 12 * 3600.0  # unused for longer than a working day


class OperatorSessions:
    """The sessions of one process. Safe to use from many threads."""

    def __init__(self, most: int = MOST, idle_seconds: float = IDLE_SECONDS) -> None:
        """Keep up to `most` sessions, each until it is unused for `idle_seconds`."""
        self._most, self._idle_seconds = most, idle_seconds
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()  # token, last use

    def begin(self, token: str) -> str:
        """Begin a session with this token, which a service has accepted; return its id."""
        session = secrets.token_urlsafe()
        with self._lock:
            self._sessions[session] = token, time.monotonic()
            if len(self._sessions) > self._most:
                self._sessions.popitem(last=False)
        return session

    def end(self, session: str) -> None:
        """End this session, if there is one."""
        with self._lock:
            self._sessions.pop(session, None)

    def token_of(self, session: str) -> str:
        """Return the token of this session; empty when there is none."""
        now = time.monotonic()
        with self._lock:
            token, used_at = self._sessions.pop(session, ("", 0.0))
            if not token or now - used_at >= self._idle_seconds:
                return ""
            self._sessions[session] = token, now  # moves to the end
            return token
