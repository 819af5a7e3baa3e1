"""Programs outside the services (demo, audit, bench) send the token of services."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.client import Client
from stack.audit.run import AUDITED, check
from stack.demo.shop import Shop
from stack.errors import StackError


@pytest.fixture
def service() -> Iterator[tuple[str, list[str | None]]]:
    """Yield the URL of a server that answers an empty object to everything, and the tokens that it received."""
    shown: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", shown
    server.shutdown()
    server.server_close()
    thread.join()


def read_all_books(urls: dict[str, str]) -> None:
    with suppress(StackError):
        check(urls)


CALLERS: dict[str, Callable[[dict[str, str]], object]] = {
    "demo": lambda urls: Shop(urls).get("carrito", "/carts"),
    "audit": read_all_books,
    "bench": lambda urls: Client(urls).get("carrito", "/carts"),
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("token", "expected"), [("hush", "Bearer hush"), ("", None)])
def test_it_comes_with_the_token_of_services_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
    service: tuple[str, list[str | None]],
    caller: str,
    token: str,
    expected: str | None,
) -> None:
    url, shown = service
    monkeypatch.setenv("SERVICE_TOKEN", token)
    CALLERS[caller](dict.fromkeys(AUDITED, url))
    assert set(shown) == {expected}
