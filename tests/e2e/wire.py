"""A wire (HTTP proxy) between two services, in which a test can hold or lose a request or an answer.

It acts as a slow network does: neither end can tell a lost answer from a late one.
"""

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from shared.testing import wait_until

SECONDS = 60.0  # the longest hold, so that nothing hangs


@dataclass
class Held:
    """The first matching request, or its answer, held as long as the test wants."""

    pattern: re.Pattern[str]
    where: str
    arrived: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    passed: threading.Event = field(default_factory=threading.Event)
    status: int | None = None

    def wait(self) -> None:
        """Wait until it is in the wire."""
        wait_until(self.arrived.is_set, f"a {self.where} of {self.pattern.pattern} is held", SECONDS)

    def release(self) -> int:
        """Let it continue; return the status of the service's answer."""
        self.let_go.set()
        wait_until(self.passed.is_set, f"the {self.where} of {self.pattern.pattern} is passed on", SECONDS)
        if self.status is None:
            raise AssertionError("the service did not answer")
        return self.status


@dataclass
class Losses:
    """Loses every n-th matching request, or its answer, during the block."""

    pattern: re.Pattern[str]
    where: str
    every: int
    seen: int = 0
    lost: int = 0

    def takes(self, line: str) -> bool:
        """Whether this request is lost."""
        if not self.pattern.fullmatch(line):
            return False
        self.seen += 1
        self.lost += self.seen % self.every == 0
        return self.seen % self.every == 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections at once

    def handle_error(self, *_: object) -> None:
        """Ignore errors: the client is gone, which tests of a cut wire expect."""


class Wire:
    """A proxy in front of a service, at `url`; a context manager."""

    def __init__(self) -> None:
        self.target = ""  # the URL of the service
        self._held: list[Held] = []
        self._losses: list[Losses] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Wire":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The URL of the wire."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def hold(self, pattern: str, where: str) -> Iterator[Held]:
        """Hold the first "POST /path" that matches: its `request`, before the service gets it, or its `answer`."""
        held = Held(re.compile(pattern), where)
        with self._lock:
            self._held.append(held)
        try:
            yield held
        finally:
            held.let_go.set()
            with self._lock:
                if held in self._held:
                    self._held.remove(held)

    @contextmanager
    def lose(self, pattern: str, where: str, every: int = 1) -> Iterator[Losses]:
        """During the block, lose every n-th matching `request`, or its `answer`: the connection ends instead."""
        losses = Losses(re.compile(pattern), where, every)
        with self._lock:
            self._losses.append(losses)
        try:
            yield losses
        finally:
            with self._lock:
                self._losses.remove(losses)

    def _loses(self, line: str, where: str) -> bool:
        with self._lock:
            return any(losses.where == where and losses.takes(line) for losses in self._losses)

    def _take(self, line: str) -> Held | None:
        with self._lock:
            for held in self._held:
                if held.pattern.fullmatch(line):
                    self._held.remove(held)
                    return held
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wire._pass_on(self)

            do_POST = do_GET  # noqa: N815  (named by http.server)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        line = f"{handler.command} {handler.path}"
        if self._loses(line, "request"):
            handler.close_connection = True
            return
        held = self._take(line)
        if held is not None and held.where == "request":
            self._hold(held)
        try:
            status, headers, answer = self._ask(handler, body)
        except (OSError, http.client.HTTPException):
            handler.close_connection = True  # as the service did
            return
        if self._loses(line, "answer"):
            handler.close_connection = True
            return
        if held is not None:
            held.status = status
            if held.where == "answer":
                self._hold(held)
        self._answer(handler, status, headers, answer)
        if held is not None:
            held.passed.set()

    @staticmethod
    def _hold(held: Held) -> None:
        held.arrived.set()
        held.let_go.wait(SECONDS)

    def _ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=SECONDS)
        try:
            passed = {name: value for name, value in handler.headers.items() if name.lower() != "host"}
            connection.request(handler.command, handler.path, body, passed)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], answer: bytes) -> None:
        try:
            handler.send_response(status)
            for name, value in headers:
                if name.lower() not in {"connection", "date", "server", "transfer-encoding"}:
                    handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(answer)
        except OSError:
            handler.close_connection = True  # the client has not waited
