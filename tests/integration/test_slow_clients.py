"""Slow, silent or many clients do not keep others from being served, in real gunicorn processes."""

import http.client
import io
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from shared.testing import wait_until
from tests.system.running import RunningSystem

HANGING = 60.0  # seconds; only keeps a test from hanging
LARGE_ANSWERS = 20  # of more than half a megabyte each: more than the system buffers for a client that does not read
FOR_EVER = {"CLIENT_SECONDS": "3600"}  # slow clients are not dropped, so others are served beside them
HEAD = b"POST /api/products/reserve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SCRIPT = "/openapi/swagger/js/swagger-ui-bundle.js"  # the largest answer

Start = Callable[..., RunningSystem]


class Client:
    """One connection, written byte by byte."""

    def __init__(self, system: RunningSystem) -> None:
        _, port = system.url("inventario").rsplit(":", 1)
        self.socket = socket.create_connection(("127.0.0.1", int(port)), HANGING)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Return the next answer; the connection may continue."""
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()

    def problem(self) -> dict[str, Any]:
        """Return the problem; the connection is closed after it."""
        status, headers, body = self.answer()
        assert headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(body)
        assert problem["status"] == status
        assert {"type", "title", "detail"} <= problem.keys()
        assert self.is_closed()
        return problem

    def is_closed(self) -> bool:
        """Whether the server closes the connection without another byte; waits for that."""
        return self.socket.recv(1) == b""


@pytest.fixture
def clients(start_system: Start) -> Iterator[Callable[[RunningSystem], Client]]:
    """Make connections; all are closed at the end."""
    with ExitStack() as stack:

        def connect(system: RunningSystem) -> Client:
            client = Client(system)
            stack.callback(client.socket.close)
            return client

        yield connect


Connect = Callable[[RunningSystem], Client]


def inventario(start_system: Start, **env: str) -> RunningSystem:
    return start_system(processes=["inventario"], env=env)


def is_served(system: RunningSystem, clients: Connect) -> bool:
    """Whether new clients get answers, also from the database."""
    for path in (b"/health", b"/api/products?limit=1"):
        client = clients(system)
        client.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status, _, _ = client.answer()
        assert status == 200
    return True


SLOW = {
    "silent": b"",
    "half a line": b"POST /api/pro",
    "half a head": HEAD,
    "half a body": HEAD + b"Content-Length: 100\r\n\r\n{",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{",
    "no end of chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "no body yet": HEAD + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
    "an empty line": b"\r\n",
}


def test_all_others_are_served_beside_those_that_send_no_more(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    for sent in SLOW.values():
        for _ in range(40):
            clients(system).send(sent)
    assert is_served(system, clients)


def test_also_beside_those_whose_connection_was_good_for_a_request_before(
    start_system: Start, clients: Connect
) -> None:
    system = inventario(start_system, **FOR_EVER)
    for sent in SLOW.values():
        for _ in range(20):
            client = clients(system)
            client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.answer()[0] == 200
            client.send(sent)
    assert is_served(system, clients)


def test_also_beside_those_that_read_no_answer(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    for _ in range(40):
        client = clients(system)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # far less than an answer
        client.send(b"GET " + SCRIPT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert is_served(system, clients)


def test_also_beside_those_that_never_close(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    for _ in range(40):
        clients(system).send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        clients(system).send(b"nonsense\r\n\r\n")
    assert is_served(system, clients)


def test_also_beside_more_than_there_is_room_for(start_system: Start, clients: Connect) -> None:
    """The longest waiting one is closed."""
    system = inventario(start_system, **FOR_EVER)
    first = clients(system)
    for _ in range(700):
        clients(system)
    assert is_served(system, clients)
    assert first.is_closed()


@pytest.mark.parametrize("sent", [sent for name, sent in SLOW.items() if name != "silent"])
def test_a_request_that_takes_too_long_is_refused(start_system: Start, clients: Connect, sent: bytes) -> None:
    client = clients(inventario(start_system, CLIENT_SECONDS="1"))
    client.send(sent)
    if b"Expect" in sent:
        assert client.socket.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.problem()["status"] == 408


def test_who_is_silent_is_dropped_without_a_word(start_system: Start, clients: Connect) -> None:
    assert clients(inventario(start_system, CLIENT_SECONDS="1")).is_closed()


def test_the_time_is_for_the_whole_request_and_not_for_each_byte(start_system: Start, clients: Connect) -> None:
    client = clients(inventario(start_system, CLIENT_SECONDS="2"))
    client.send(HEAD + b"Content-Length: 1000000\r\n\r\n")
    client.socket.settimeout(0.1)
    began, answer = time.monotonic(), b""
    while not answer and time.monotonic() - began < HANGING:
        client.send(b" ")
        try:
            answer = client.socket.recv(12)
        except TimeoutError:
            continue
    assert answer == b"HTTP/1.1 408"


def test_who_takes_no_answer_is_dropped_in_the_end(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, CLIENT_SECONDS="1")
    client = clients(system)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # far less than an answer
    client.send(b"GET " + SCRIPT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def is_gone() -> bool:
        try:
            client.send(b"\r\n")
        except ConnectionError:
            return True
        return False

    wait_until(is_gone, "the server has no such connection any more", HANGING)


REFUSED = {
    "a line that is none": (b"nonsense\r\n\r\n", 400),
    "another protocol": (b"GET / HTTP/9\r\nHost: localhost\r\n\r\n", 400),
    "a header without a name": (b"GET /health HTTP/1.1\r\n: x\r\n\r\n", 400),
    "a header with a space in its name": (b"GET /health HTTP/1.1\r\nHo st: x\r\n\r\n", 400),
    "a folded header": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", 400),
    "a control character": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a length and chunks": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a length that is none": (HEAD + b"Content-Length: -2\r\n\r\n", 400),
    "a length with a sign": (HEAD + b"Content-Length: +2\r\n\r\n{}", 400),
    "a length in other digits": (HEAD + "Content-Length: ²\r\n\r\n{}".encode("latin-1"), 400),
    "a chunk that is longer than it says": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", 400),
    "a chunk without a length": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n", 400),
    "chunks without an end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 10_000, 400),
    "a forbidden trailer": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: x\r\n\r\n", 400),
    "an unknown coding": (HEAD + b"Transfer-Encoding: br\r\n\r\n", 501),
    "a coding besides chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "a long address": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    "an address without an end": (b"GET /" + b"x" * 100_000, 414),
    "a long header": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    "a head without an end": (b"GET /health HTTP/1.1\r\n" + b"X: x\r\n" * 20_000, 431),
    "many headers": (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: x\r\n" * 200 + b"\r\n", 431),
    "a large body": (HEAD + b"Content-Length: 1000001\r\n\r\n", 413),
    "many large chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"ffff\r\n" + b" " * 65_535 + b"\r\n") * 17,
        413,
    ),
    "an impossible expectation": (HEAD + b"Content-Length: 2\r\nExpect: wonders\r\n\r\n{}", 417),
}


def test_what_is_no_request_is_refused_as_everything_else_is(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    found = {}
    for name, (sent, _) in REFUSED.items():
        client = clients(system)
        client.send(sent)
        found[name] = client.problem()["status"]
    assert found == {name: status for name, (_, status) in REFUSED.items()}
    assert is_served(system, clients)


def test_requests_are_served_however_they_are_cut(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    client = clients(system)
    body = b'{"name": "Tea", "price": "4.99", "quantity": 1, "sku": "%s"}'
    head = HEAD.replace(b"/reserve", b"")
    first, second, third = (body % sku for sku in (b"slow-1", b"slow-2", b"slow-3"))
    sent = (
        head + b"Content-Length: %d\r\n\r\n" % len(first) + first,
        head
        + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"
        + second[:5]
        + b"\r\n%X;x=y\r\n" % (len(second) - 5)
        + second[5:]
        + b"\r\n0\r\n\r\n",
        head + b"transfer-encoding: Chunked\r\n\r\n%x\r\n" % len(third) + third + b"\r\n0\r\nX-Trailer: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    for byte in b"".join(sent):
        client.send(bytes([byte]))
    assert [client.answer()[0] for _ in sent] == [201, 201, 201, 200]
    client.send(b"".join(sent[:3]).replace(b"slow", b"fast") + sent[3])
    assert [client.answer()[0] for _ in sent] == [201, 201, 201, 200]


def test_a_body_that_waits_to_be_requested_is_requested(start_system: Start, clients: Connect) -> None:
    client = clients(inventario(start_system, **FOR_EVER))
    body = b'{"name": "Tea", "price": "4.99", "quantity": 1, "sku": "requested"}'
    client.send(HEAD.replace(b"/reserve", b"") + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    assert client.answer()[0] == 201


def test_large_answers_come_whole(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    client = clients(system)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    request = b"GET " + SCRIPT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.send(request * LARGE_ANSWERS)
    expected = requests.get(f"{system.url('inventario')}{SCRIPT}", timeout=HANGING).content
    received = bytearray()
    for _ in range(40):  # the server sends a little more each time, as much as the client has made room for
        received += client.socket.recv(65536)
        assert is_served(system, clients)
    with client.socket.makefile("rb") as others, io.BytesIO() as answers:
        head = received.index(b"\r\n\r\n") + 4
        answers.write(received + others.read(LARGE_ANSWERS * (head + len(expected)) - len(received)))
        answers.seek(0)
        for _ in range(LARGE_ANSWERS):
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            assert answers.read(int(http.client.parse_headers(answers)["Content-Length"])) == expected
        assert not answers.read()


@pytest.mark.parametrize("size", [60_000, 100_000, 900_000])
def test_a_connection_whose_body_nobody_read_goes_on(start_system: Start, clients: Connect, size: int) -> None:
    client = clients(inventario(start_system, **FOR_EVER))
    head = f"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    for _ in range(2):
        client.send(head.encode() + b" " * size)
        status, headers, _ = client.answer()
        assert (status, headers.get("connection")) == (404, "keep-alive")


def test_clients_that_vanish_end_nothing_but_their_connection(start_system: Start, clients: Connect) -> None:
    """With what they sent unanswered, or answered to nobody; and with unread requests behind others."""
    system = inventario(start_system, **FOR_EVER)
    requests.get(f"{system.url('inventario')}/audit", timeout=HANGING)
    read = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    requested = SLOW["no body yet"]
    script = read.replace(b"/metrics", SCRIPT.encode())
    for sent in (*SLOW.values(), read, read + requested, script, script + requested, b"x\r\n\r\n" + read) * 10:
        client = clients(system)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets at the close
        client.send(sent)
        client.socket.close()
    assert is_served(system, clients)
    assert 'route="/audit"' in requests.get(f"{system.url('inventario')}/metrics", timeout=HANGING).text, "a new worker"


def test_whose_request_is_not_all_there_when_it_stops_is_told_to_come_again(
    start_system: Start, clients: Connect
) -> None:
    system = inventario(start_system, **FOR_EVER)
    client = clients(system)
    client.send(HEAD + b"Content-Length: 100\r\n\r\n")
    assert is_served(system, clients)
    assert system.stop("inventario", HANGING) == 0
    status, headers, body = client.answer()
    assert (status, headers["retry-after"]) == (503, "1")
    assert b"the service stops" in body


def test_it_stops_at_once_whoever_is_connected(start_system: Start, clients: Connect) -> None:
    system = inventario(start_system, **FOR_EVER)
    for sent in SLOW.values():
        clients(system).send(sent)
    assert is_served(system, clients)
    began = time.monotonic()
    assert system.stop("inventario", HANGING) == 0
    assert time.monotonic() - began < 15  # gunicorn would wait 20 s for requests that it still serves
