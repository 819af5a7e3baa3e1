"""A fake saga service that has only a change feed, which a test fills, and a viewer of the dashboard."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from shared.testing import wait_until

HANGING = 60.0  # seconds; only keeps a test from hanging
PAGE = 200


class FeedService(ThreadingHTTPServer):
    """A feed whose cursors consist of an age and a number of changes. Requests for changes wait as real ones do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.changed = threading.Condition()
        self.sagas: list[str] = []
        self.requests: list[str | None] = []  # the `after` of each request
        self.age = 0
        self.waiting = self.most_waiting = 0  # requests that wait for a change
        self.is_away = False

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self.server_port}"

    def change(self, *sagas: str) -> None:
        """Add a change of each of these sagas."""
        with self.changed:
            self.sagas += sagas
            self.changed.notify_all()

    def restore(self) -> None:
        """Invalidate earlier cursors, as a restore from a backup does."""
        with self.changed:
            self.age += 1
            self.sagas = []
            self.changed.notify_all()

    def answer(self, after: str | None, wait: float) -> dict[str, Any]:
        """Return the changes after the cursor, at once or after up to `wait` seconds."""
        with self.changed:
            self.requests.append(after)
            self.waiting += 1
            self.most_waiting = max(self.waiting, self.most_waiting)
            self.changed.notify_all()
            if after is not None:
                age, number = _read(after)
                self.changed.wait_for(lambda: age != self.age or number < len(self.sagas), wait)
            self.waiting -= 1
            return self._answer(after)

    def _answer(self, after: str | None) -> dict[str, Any]:
        age, number = (self.age, len(self.sagas)) if after is None else _read(after)
        if age != self.age:
            return {"items": [], "next": _cursor(self.age, len(self.sagas)), "reset": True}
        end = min(number + PAGE, len(self.sagas))
        items = [{"saga_id": saga} for saga in self.sagas[number:end]]
        return {"items": items, "next": _cursor(age, end), "reset": False}


def _cursor(age: int, number: int) -> str:
    """Return a position in the notation of the saga services."""
    return f"1-1-{age}.{number}.00000000-0000-0000-0000-000000000000"


def _read(cursor: str) -> tuple[int, int]:
    place, number, _ = cursor.split(".")
    return int(place.rpartition("-")[2]), int(number)


class _Handler(BaseHTTPRequestHandler):
    server: FeedService

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, answer = 404, {"detail": "no such thing"}
        if parts.path.endswith("/changes"):
            status, answer = 200, self.server.answer(query.get("after"), float(query.get("wait", 0)))
        if self.server.is_away:
            status, answer = 503, {"detail": "not now"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def feeding() -> Iterator[FeedService]:
    """Run a feed without changes for the block."""
    with FeedService() as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        yield service
        service.shutdown()
        thread.join()


class Watching:
    """A viewer's stream; a context manager. `last_id` is that of the last message."""

    def __init__(self, url: str, last_id: str = "") -> None:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self.answer = requests.get(f"{url}/live", headers=headers, stream=True, timeout=HANGING)
        self.last_id = last_id
        self._lines = self.answer.iter_lines(chunk_size=1)

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def message(self) -> tuple[str, list[str]]:
        """Return the next message's kind and the sagas that it names; `StopIteration` when the stream has ended."""
        fields: dict[str, str] = {}
        while True:
            line = next(self._lines).decode()
            if not line and "event" in fields:
                self.last_id = fields["id"]
                return fields["event"], list(json.loads(fields["data"]).get("sagas", []))
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value

    def sagas(self, count: int) -> list[str]:
        """Return so many changed sagas, in order, from as many messages as needed."""
        found: list[str] = []
        while len(found) < count:
            kind, sagas = self.message()
            assert kind == "changed"
            found += sagas
        return found


def watch(url: str, last_id: str = "") -> Watching:
    """Open a viewer's stream; repeated until there is a free one, since those of earlier viewers are soon closed."""
    opened: list[Watching] = []

    def open_one() -> bool:
        opened.append(Watching(url, last_id))
        return bool(opened[-1].answer.status_code == 200)

    wait_until(open_one, "there is a place", HANGING)
    return opened[-1]
