"""A gunicorn worker whose threads never wait for a client.

The event loop receives each request completely before a thread gets it, and sends what the client does not take at
once after the thread has finished. So a slow, silent or vanished client occupies a connection, never a thread. Each
connection has a deadline; when there are too many, the one that has waited longest is closed. The number and the size
of complete requests that have no answer yet are bounded; further requests get 503.
"""

import errno
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from shared.http.answers import PROBLEM, RETRY_AFTER_SECONDS, http_problem
from shared.http.connection import ClientSocket, Connection
from shared.http.framing import NotARequest
from shared.json_codec import body as json_body

READ_BYTES = 65_536
LINGER_SECONDS = 2.0  # after the last answer, so that the client can read it before the connection closes
SWEEP_SECONDS = 0.5  # at most so late is a deadline noticed
MAX_BUFFERED = 64_000_000  # bytes, of all connections; beyond it those with the most are closed
MAX_AT_WORK = MAX_BUFFERED // 2  # bytes of complete requests, in a thread or waiting for one
UNSEEN_BYTES = MAX_BUFFERED // 8  # may arrive between two checks of the bound
BUSY = "more requests wait already than can be answered soon"
STOPPING = "the service stops, and the request is not all there"
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PARSE_STATUS = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
    errors.UnsupportedTransferCoding: 501,
}


@dataclass(frozen=True)
class ClientLimits:
    """Bounds for one client."""

    seconds: float = 10.0  # to send a request, and to receive its answer
    body_bytes: int = 1_000_000


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """The worker. All methods but `handle_error` run in the event loop."""

    limits = ClientLimits()  # set before the worker is forked

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Connection, None] = {}  # connections without a thread, the longest waiting first
        self._next_sweep = 0.0
        self._unseen_bytes = 0
        self._at_work = self._at_work_bytes = 0  # complete requests, in a thread or waiting for one
        # The other connections are for new clients, if only to be answered 503.
        self._most_at_work = (self.worker_connections + self.cfg.threads) // 2

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse settings that this worker does not support."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise RuntimeError("TLS ends before this server, at a gateway: unset certfile and keyfile")

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection; when that was the last free one, close another to make room for the next."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                self._make_room()
            elif error.errno not in {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}:
                raise
            return
        self.nr_conns += 1
        sock = ClientSocket(accepted)
        connection = Connection(self.cfg, sock, address, listener.getsockname(), self.limits.body_bytes)
        self._wait(connection, self._receive, self.limits.seconds)
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def finish_request(self, connection: Connection, result: "Future[Any]") -> None:
        """Called when a thread has finished: send what is left of the answer."""
        self._at_work -= 1
        self._at_work_bytes -= connection.request_bytes
        connection.forget_request()
        connection.reusable = not result.cancelled() and result.exception() is None and bool(result.result())
        self._go_on(connection, self._send)

    def handle_error(self, req: Any, client: ClientSocket, addr: Any, exc: Exception) -> None:
        """Answer with a problem when gunicorn can't parse the request, or the application raised."""
        if isinstance(exc, errors.ParseException):
            status = next((status for kind, status in PARSE_STATUS.items() if isinstance(exc, kind)), 400)
            self.log.info("Refused what %s sent: %s", addr, exc)
            client.sendall(refusal(status, str(exc)))
        else:
            self.log.exception("Error handling request %s of %s", getattr(req, "uri", ""), addr)
            client.sendall(refusal(500, "unexpected error; see the service's log"))

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop gracefully; the application ends its endless answers in `on_stop`."""
        super().handle_exit(sig, frame)
        call_hooks(self, "on_stop")

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections whose deadline has passed; called after each event."""
        now = time.monotonic()
        if now < self._next_sweep and not force:
            return
        self._next_sweep = now + SWEEP_SECONDS
        for connection in [each for each in self._waiting if force or each.deadline <= now]:
            self._go_on(connection, self._expire)
        self._bound_buffers()

    def _bound_buffers(self) -> None:
        self._unseen_bytes = 0
        while self._waiting and self._at_work_bytes + sum(each.buffered for each in self._waiting) > MAX_BUFFERED:
            self._drop(max(self._waiting, key=lambda each: each.buffered))

    def murder_pending(self) -> None:
        """Nothing to do: `murder_keepalived` covers all connections."""

    def _cap_keepalive(self, deadline: float) -> None:
        """Called when the worker stops: cap all deadlines."""
        for connection in self._waiting:
            connection.deadline = min(connection.deadline, deadline)

    # The phases of a connection, in their order

    def _wait(
        self, connection: Connection, then: Callable[[Connection], None], seconds: float, write: bool = False
    ) -> None:
        connection.deadline = time.monotonic() + seconds
        self._waiting[connection] = None
        event = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        self.poller.register(connection.sock, event, partial(self._ready, connection, then))

    def _ready(self, connection: Connection, then: Callable[[Connection], None], _: object) -> None:
        """Called by the poller. The connection may have been closed since, to make room for another."""
        if connection in self._waiting:
            self._go_on(connection, then)

    def _go_on(self, connection: Connection, then: Callable[[Connection], None]) -> None:
        """Run the next phase of a connection; an error closes the connection, and never ends the event loop."""
        try:
            then(connection)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._drop(connection)

    def _wait_no_more(self, connection: Connection) -> None:
        if connection in self._waiting:
            del self._waiting[connection]
            self.poller.unregister(connection.sock)

    def _receive(self, connection: Connection) -> None:
        data = connection.sock.recv(READ_BYTES)
        if not data and connection.buffer:
            self._refuse(connection, 400, "the request breaks off: its head or its body is not all there")
            return
        if not data:
            self._drop(connection)
            return
        if not connection.buffer:  # it was idle until now, with a later deadline
            connection.deadline = min(connection.deadline, time.monotonic() + self.limits.seconds)
        connection.buffer += data
        self._take_request(connection)
        self._unseen_bytes += len(data)
        if self._unseen_bytes > UNSEEN_BYTES:
            self._bound_buffers()

    def _take_request(self, connection: Connection) -> None:
        """Give a complete request to a thread, or answer 503 when too many wait for one."""
        try:
            if not connection.next_request():
                return
        except NotARequest as error:
            self._refuse(connection, error.status, error.detail)
            return
        size = self._at_work_bytes + connection.request_bytes
        too_large = size > MAX_AT_WORK and self._at_work > 0  # a large request that comes alone is accepted
        if self._at_work >= self._most_at_work or too_large:
            connection.forget_request()
            self._refuse(connection, 503, BUSY)
            return
        self._at_work, self._at_work_bytes = self._at_work + 1, size
        self._wait_no_more(connection)
        self.enqueue_req(connection)

    def _refuse(self, connection: Connection, status: int, detail: str) -> None:
        self._wait_no_more(connection)
        connection.reusable = False
        connection.sock.unsent += refusal(status, detail)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        """Send the buffer as the client takes it; then receive the next request, or end."""
        if not connection.sock.flush():
            if connection not in self._waiting:
                self._wait(connection, self._send, self.limits.seconds, write=True)
            return
        self._wait_no_more(connection)
        if not connection.reusable:
            self._end(connection)
        elif connection.buffer:
            self._wait(connection, self._receive, self.limits.seconds)
            self._take_request(connection)
        else:
            self._wait(connection, self._receive, self.cfg.keepalive if self.alive else LINGER_SECONDS)

    def _end(self, connection: Connection) -> None:
        """Shut down writing and read on for a moment: closing at once could lose what was sent."""
        connection.buffer.clear()
        connection.sock.shutdown(socket.SHUT_WR)
        self._wait(connection, self._discard, LINGER_SECONDS)

    def _discard(self, connection: Connection) -> None:
        if not connection.sock.recv(READ_BYTES):
            self._drop(connection)

    def _expire(self, connection: Connection) -> None:
        if not connection.buffer or connection.sock.unsent:
            self._drop(connection)
        elif not self.alive:
            self._refuse(connection, 503, STOPPING)
        else:
            self._refuse(connection, 408, f"the request did not come within {self.limits.seconds:g} s")

    def _make_room(self) -> None:
        oldest = next(iter(self._waiting), None)
        if oldest is not None:
            self._drop(oldest)

    def _drop(self, connection: Connection) -> None:
        self._wait_no_more(connection)
        self.nr_conns -= 1
        connection.close()


def call_hooks(worker: Any, name: str) -> None:
    """Call the functions that the app lists in `extensions` under this name; none if the app was never loaded."""
    for function in getattr(getattr(worker, "wsgi", None), "extensions", {}).get(name, ()):
        function()


def refusal(status: int, detail: str) -> bytes:
    """Return a whole HTTP answer with a problem, which closes the connection."""
    body = json_body(http_problem(status, detail)).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\nContent-Type: {PROBLEM}\r\n"
    later = f"Retry-After: {RETRY_AFTER_SECONDS}\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    return f"{head}{later}Content-Length: {len(body)}\r\n\r\n".encode() + body
