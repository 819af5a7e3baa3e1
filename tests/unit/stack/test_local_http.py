"""Requests to this machine ignore the proxy that the environment names."""

import ast
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.config import ROOT
from stack import costs, local_http, meters
from stack.demo.shop import Request, Shop

METRICS = b'http_requests_total{method="POST",route="/orders",status="201"} 3.0\n'
OVERVIEW = b'{"message_stats": {"publish": 7, "deliver_get": 5}}'


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(METRICS if self.path == "/metrics" else OVERVIEW)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server on this machine, with a proxy setting that leads nowhere."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_what_the_demo_and_the_bench_count_is_read_without_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "STATISTICS_SECONDS", 0)
    assert meters.RabbitMQ(str(port)).messages() == meters.Messages(7, 5)
    shop = Shop({"pagos": f"http://127.0.0.1:{port}"})
    assert costs.Meter(shop, None).counts().answered == {"pagos": 3}
    assert shop.get("pagos", "/x") == {"message_stats": {"publish": 7, "deliver_get": 5}}


def test_commands_that_are_shown_do_without_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Request("GET", f"http://127.0.0.1:{port}/x")
    assert shown.curl() == f"curl -s --noproxy '*' http://127.0.0.1:{port}/x"
    for name in local_http.CURL_PROXIES:
        monkeypatch.delenv(name)
    assert shown.curl() == f"curl -s http://127.0.0.1:{port}/x"


HONOUR_PROXIES = {f"requests.{verb}" for verb in ("get", "post", "put", "delete", "request", "Session")} | {
    "urllib.request"
}


def test_nothing_else_of_ours_asks_over_http_in_a_way_that_takes_a_proxy() -> None:
    for package in ("stack", "bench", "shared", *(path.parent.name for path in ROOT.glob("*/app.py"))):
        for module in (ROOT / package).glob("*.py"):
            nodes = list(ast.walk(ast.parse(module.read_text())))
            used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
            used |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
            makes_its_own = used & HONOUR_PROXIES <= {"requests.Session"} and any("trust_env" in each for each in used)
            assert not used & HONOUR_PROXIES or makes_its_own, module
