"""A client's connection, as `shared/http/server.py` has it: it never blocks, and keeps what can't be sent at once."""

import errno
import socket
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn

from shared.http.framing import Framing, request_length

MAX_UNSENT = 8_000_000  # bytes of one answer: several times the largest that there is


class ClientSocket(socket.socket):
    """Never blocks, whatever gunicorn's thread worker asks for; keeps what can't be sent at once."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        super().setblocking(False)
        self.unsent = bytearray()

    def setblocking(self, flag: bool) -> None:
        """It stays as it is."""

    def settimeout(self, value: float | None) -> None:
        """It stays as it is."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send or keep it; raises an OSError when the client is gone, or has not taken far too much."""
        self.unsent += data
        self.flush(flags)
        if len(self.unsent) > MAX_UNSENT:
            raise BrokenPipeError(errno.EPIPE, "the client does not read")

    def flush(self, flags: int = 0) -> bool:
        """Send what it takes of what was kept; whether that was all."""
        try:
            while self.unsent:
                del self.unsent[: self.send(self.unsent, flags)]
        except BlockingIOError:
            return False
        except OSError:
            self.unsent.clear()
            raise
        return True


class Connection(TConn):  # type: ignore[misc]
    """A client: what has come of its next request, and until when it may take for what is waited for."""

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any, max_body: int) -> None:
        super().__init__(cfg, sock, client, server)
        self.initialized = True  # there is nothing that a thread would have to do before it parses
        self.buffer = bytearray()
        self.deadline = 0.0
        self.reusable = True
        self.request_bytes = 0  # of the request that the parser has
        self._max_body = max_body
        self._framing: Framing | None = None

    def next_request(self) -> bool:
        """Whether a whole request has come; the parser has it then, and nothing else. Raises `NotARequest`."""
        self._framing = self._framing or request_length(self.buffer, self._max_body)
        try:
            while next(self._framing).asked_for:
                self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except StopIteration as found:
            request = bytes(self.buffer[: found.value])
            del self.buffer[: found.value]
            self._framing = None
            self.request_bytes = len(request)
            self.parser = http.get_parser(self.cfg, iter([request]), self.client)
            return True
        return False

    def forget_request(self) -> None:
        """Nothing is kept of the request that the parser has."""
        self.parser = None
        self.request_bytes = 0

    @property
    def buffered(self) -> int:
        """Bytes that are kept for it."""
        return len(self.buffer) + len(self.sock.unsent)
