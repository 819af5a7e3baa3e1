"""A client's connection for `shared/http/server.py`: non-blocking, with a buffer for bytes that can't be sent yet."""

import errno
import socket
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn

from shared.http.framing import Framing, request_length

MAX_UNSENT = 8_000_000  # bytes of one answer: several times the largest that there is


class ClientSocket(socket.socket):
    """A socket that stays non-blocking, also when gunicorn's thread worker sets it to block."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        super().setblocking(False)
        self.unsent = bytearray()

    def setblocking(self, flag: bool) -> None:
        """Do nothing."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing."""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send the data or buffer it; raises OSError when the client is gone or the buffer is full."""
        self.unsent += data
        self.flush(flags)
        if len(self.unsent) > MAX_UNSENT:
            raise BrokenPipeError(errno.EPIPE, "the client does not read")

    def flush(self, flags: int = 0) -> bool:
        """Send as much of the buffer as the client takes; return whether it is empty now."""
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
    """A client: the bytes received of its next request, and the deadline of its present phase."""

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any, max_body: int) -> None:
        super().__init__(cfg, sock, client, server)
        self.initialized = True  # the server reads the request, so no thread has to prepare the connection for parsing
        self.buffer = bytearray()
        self.deadline = 0.0
        self.reusable = True
        self.request_bytes = 0  # size of the request that the parser has
        self._max_body = max_body
        self._framing: Framing | None = None

    def next_request(self) -> bool:
        """Return whether a whole request has arrived, and give it to the parser then. Raises `NotARequest`."""
        self._framing = self._framing or request_length(self.buffer, self._max_body)
        try:
            while next(self._framing).continue_expected:
                self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except StopIteration as found:
            request = bytes(self.buffer[: found.value])
            del self.buffer[: found.value]
            self._framing = None
            self.request_bytes = len(request)
            self.parser = http.get_parser(self.cfg, iter([request]), self.client)
            finish = self.parser.finish_body
            # gunicorn would read on for 64 kB only, and close the connection then. Here all of it is in memory.
            self.parser.finish_body = lambda **_: finish()
            return True
        return False

    def forget_request(self) -> None:
        """Drop the request that the parser has."""
        self.parser = None
        self.request_bytes = 0

    @property
    def buffered(self) -> int:
        """Bytes buffered for this client, received and unsent."""
        return len(self.buffer) + len(self.sock.unsent)
