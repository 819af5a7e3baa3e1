"""Services over HTTP that answer as a test says."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flask.testing import FlaskClient

from dashboard.operator_form import COOKIE

Answers = dict[str, Any]  # path with its query -> body; or a pair of status and body; or a function that returns either
BLANKS, BLANK_SECONDS = 100, 0.05


class Service(ThreadingHTTPServer):
    """One service; `requests` has each request's method, path, headers and body."""

    request_queue_size = 128  # connections that wait to be accepted: as many as the requests that a test sends at once

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.drips = False  # whether it sends blanks, with which JSON may begin, for five seconds before an answer
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), json.loads(body or "null")))
        found = self.server.answers.get(self.path, (404, {"detail": "no such thing"}))
        found = found() if callable(found) else found
        status, answer = found if isinstance(found, tuple) else (200, found)
        data = json.dumps(answer).encode()
        self.send_response(status)
        blanks = BLANKS if self.server.drips else 0
        self.send_header("Content-Length", str(len(data) + blanks))
        self.end_headers()
        for _ in range(blanks):
            self.wfile.write(b" ")
            time.sleep(BLANK_SECONDS)
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def sign_in(viewer: FlaskClient, token: str) -> None:
    """Log the viewer in as an operator whose token a service has accepted."""
    viewer.set_cookie(COOKIE, viewer.application.extensions["operators"].begin(token))


@contextmanager
def serving(answers: Answers) -> Iterator[Service]:
    """Run a service with these answers for the block."""
    with Service(answers) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
