"""Calls of other services, and their answers and errors."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from shared.http.client import Peer, PeerRefused, PeerSilent, PeerUnavailable, Reply


class Total(BaseModel):
    total: Decimal


class Echo(BaseHTTPRequestHandler):
    """Answers with the request that it received, in the way that the last part of the path names."""

    protocol_version = "HTTP/1.1"
    server: "Service"

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers.items()), self.body()))
        status, answer = self.server.answers.get(self.path.rpartition("/")[2], (200, b'{"total": 10.10}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815  (the name that http.server looks for)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


class Service(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers = {"refused": (409, b'{"detail": "no"}'), "moved": (302, b"{}"), "prose": (200, b"<p>hello</p>")}


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.shutdown()
        thread.join()


@pytest.fixture
def peer(service: Service) -> Peer:
    return Peer("demo", f"http://127.0.0.1:{service.server_port}/", None, read_seconds=10)


def test_a_body_is_sent_as_exact_json_with_the_caller_s_headers(peer: Peer, service: Service) -> None:
    reply = peer.post("/x", {"amount": Decimal("0.10"), "name": "ñ"}, {"Idempotency-Key": '"k"'})
    ((method, path, headers, body),) = service.requests
    assert (method, path, body) == ("POST", "/x", b'{"amount":0.10,"name":"\\u00f1"}')
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == '"k"'
    assert (reply.status, str(reply.body["total"])) == (200, "10.10")


def test_every_request_comes_with_the_token_of_services_when_there_is_one(peer: Peer, service: Service) -> None:
    known = Peer("demo", f"http://127.0.0.1:{service.server_port}", SecretStr("hush"), read_seconds=10)
    known.get("/x")
    known.post("/x", {}, {"Authorization": "Bearer of somebody else"})
    peer.get("/x")
    tokens = [headers.get("Authorization") for _, _, headers, _ in service.requests]
    assert tokens == [
        "Bearer hush",
        "Bearer hush",
        None,
    ]


def test_reading_sends_no_body(peer: Peer, service: Service) -> None:
    peer.get("/x?status=open&limit=2")
    ((method, path, headers, body),) = service.requests
    assert (method, path, body) == ("GET", "/x?status=open&limit=2", b"")
    assert not headers.keys() & {"Content-Type", "Content-Length", "Transfer-Encoding"}


def test_what_no_url_may_hold_is_quoted(peer: Peer, service: Service) -> None:
    peer.get("/x y/ñ")
    assert service.requests[0][1] == "/x%20y/%C3%B1"


def test_a_refusal_is_an_answer_with_its_headers(peer: Peer) -> None:
    reply = peer.post("/refused", {})
    assert (reply.status, reply.body, reply.headers["location"]) == (409, {"detail": "no"}, "/elsewhere")


@pytest.mark.parametrize("status", [401, 403, 408, 421, 425, 429, 503])
def test_what_may_be_done_later_was_not_done_and_is_no_refusal(peer: Peer, service: Service, status: int) -> None:
    service.answers["later"] = (status, b'{"detail": "not now"}')
    with pytest.raises(PeerUnavailable, match=f"HTTP {status}: not now"):
        peer.post("/later", {}).success(Total)


def test_nobody_is_sent_elsewhere(peer: Peer, service: Service) -> None:
    assert peer.post("/moved", {}).status == 302
    assert len(service.requests) == 1


def test_a_connection_is_kept_for_the_next_call(peer: Peer, service: Service) -> None:
    accepted = []
    get_request = service.get_request

    def counted() -> Any:
        accepted.append(1)
        return get_request()

    service.get_request = counted  # type: ignore[method-assign]
    for _ in range(3):
        peer.post("/x", {})
    assert len(accepted) == 1


@pytest.mark.parametrize("answer", ["null", "1", "[]", '"done"'])
def test_an_answer_that_is_no_object_is_none(peer: Peer, service: Service, answer: str) -> None:
    service.answers["odd"] = (200, answer.encode())
    with pytest.raises(PeerSilent, match="demo: HTTP 200 without a JSON object"):
        peer.post("/odd", {})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcomes": None},
        {"outcomes": [None]},
        {"outcomes": []},
        {"outcomes": [{"status": 200, "body": 1}]},
        {"outcomes": [{"status": "no", "body": {}}]},
    ],
    ids=str,
)
def test_an_answer_without_an_outcome_for_each_command_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(PeerSilent, match=r"does not fit: outcomes|not an outcome for each command"):
        Reply(200, body, {}).outcomes(1)


def problem(kind: str = "cart-not-found", **more: Any) -> dict[str, Any]:
    return {"type": f"/problems/{kind}", "title": "No such cart", "status": 404, "detail": "there is none", **more}


def test_a_success_is_read_as_what_its_contract_says() -> None:
    assert Reply(201, {"total": Decimal("10.10"), "more": 1}, {}).success(Total) == Total(total=Decimal("10.10"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, {"total": None}),
        (200, {"total": []}),
        (302, {"total": 1}),
        (404, {}),
        (404, {"message": "no route matches"}),
        (409, {**problem(), "detail": None}),
        (409, {**problem(), "type": ["/problems/cart-not-found"]}),
        (500, problem()),
    ],
    ids=str,
)
def test_an_answer_that_is_not_what_its_contract_says_is_none(status: int, body: dict[str, Any]) -> None:
    reply = Reply(status, body, {})
    for read in (reply.success, reply.success_if_found):
        with pytest.raises(PeerSilent, match=f"HTTP {status}"):
            read(Total)


def test_a_refusal_is_passed_on_with_its_problem() -> None:
    with pytest.raises(PeerRefused, match="there is none") as refused:
        Reply(404, problem(cart_id="7"), {}).success(Total)
    assert refused.value.problem == problem(cart_id="7")


def test_what_a_service_does_not_have_is_told_from_a_path_that_it_does_not_know() -> None:
    assert Reply(404, problem(), {}).success_if_found(Total) is None
    with pytest.raises(PeerSilent, match="HTTP 404: there is none"):
        Reply(404, problem("not-found"), {}).success_if_found(Total)


@pytest.mark.parametrize("status", [405, 409, 422])
def test_who_refuses_to_be_read_does_not_answer(status: int) -> None:
    with pytest.raises(PeerSilent, match=f"HTTP {status}: there is none"):
        Reply(status, problem(), {}).success_if_found(Total)


def test_an_answer_that_is_no_json_is_none(peer: Peer) -> None:
    with pytest.raises(PeerSilent, match="demo: HTTP 200 without JSON"):
        peer.get("/prose")


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 176\r\n\r\n",
        b'HTTP/1.1 201 Created\r\nContent-Length: 176\r\n\r\n{"id": 1',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("then", ["dies", "is silent"])
def test_who_answers_a_part_only_may_have_done_it(part: bytes, then: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        peer = Peer("demo", f"http://127.0.0.1:{listening.getsockname()[1]}", None, read_seconds=0.2)
        calling = pool.submit(peer.post, "/x", {})
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(part)
            if then == "dies":
                connection.shutdown(socket.SHUT_RDWR)
            with pytest.raises(PeerSilent, match="demo: "):
                calling.result()


def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(PeerUnavailable, match="demo: connection refused or broken"):
            Peer("demo", f"http://127.0.0.1:{silent.getsockname()[1]}", None).get("/x")


def test_who_takes_too_long_may_have_done_it(service: Service) -> None:
    slow = Peer("demo", f"http://127.0.0.1:{service.server_port}", None, read_seconds=0.05)
    release = threading.Event()
    service.answers = _Blocking(release)
    with pytest.raises(PeerSilent, match="demo: no answer in time"):
        slow.get("/x")
    release.set()


class _Blocking(dict[str, tuple[int, bytes]]):
    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self._release = release

    def get(self, *_: Any) -> tuple[int, bytes]:
        self._release.wait(10)
        return 200, b"{}"


@pytest.mark.parametrize("value", ["Bearer €", "two\nlines", "two\rlines"])
def test_a_header_that_cannot_be_sent_is_the_caller_s_error_and_nothing_is_sent(
    peer: Peer, service: Service, value: str
) -> None:
    with pytest.raises(ValueError, match=r"codec|header value"):
        peer.request("GET", "/x", None, {"Authorization": value})
    assert service.requests == []
    assert peer.get("/x").status == 200
