"""Requests that wait for a thread are bounded in number and size; further ones get 503 at once."""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.http.server import MAX_AT_WORK
from tests.system.running import RunningSystem

HANGING = 120.0  # seconds; only keeps a test from hanging
PATIENT = {"WEB_THREADS": "1", "LOCK_SECONDS": "600", "STATEMENT_SECONDS": "600", "CLIENT_SECONDS": "600"}
PLACES = 512 // 2 + 1  # requests in threads or waiting for one
LARGE = 1_000_000

Start = Callable[..., RunningSystem]


@contextmanager
def busy(url: str) -> Iterator[None]:
    """Block every request that adds a product, with its thread, during the block."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as session:
        session.execute(text("LOCK TABLE inventario.products"))
        yield
        session.rollback()


def adding(number: int, size: int = 0) -> bytes:
    """Make a request to add a product, with a body of at least so many bytes."""
    body = json.dumps({"name": "Tea", "price": "4.99", "quantity": 1, "sku": f"busy-{number}"}).encode().ljust(size)
    head = b"POST /api/products HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Clients:
    """Clients that have each sent a whole request."""

    def __init__(self, system: RunningSystem, stack: ExitStack) -> None:
        self._address = ("127.0.0.1", int(system.url("inventario").rsplit(":", 1)[1]))
        self._stack = stack
        self._answers: dict[socket.socket, bytes] = {}
        self._ended: set[socket.socket] = set()

    def send(self, request: bytes) -> None:
        client = self._stack.enter_context(socket.create_connection(self._address, HANGING))
        client.sendall(request)
        self._answers[client] = b""

    def wait(self, count: int) -> list[tuple[int, bytes]]:
        """Wait for so many answers; return the status and the bytes of each."""
        with selectors.DefaultSelector() as selector:
            for client in self._answers.keys() - self._ended:
                selector.register(client, selectors.EVENT_READ)
            deadline = time.monotonic() + HANGING
            while len(self._ended) < count:
                assert time.monotonic() < deadline, f"{len(self._ended)} of {count} are answered"
                for key, _ in selector.select(1):
                    self._receive(selector, key.fileobj)
        return [(int(self._answers[client].split()[1]), self._answers[client]) for client in self._ended]

    def _receive(self, selector: selectors.BaseSelector, client: Any) -> None:
        if data := client.recv(65_536):
            self._answers[client] += data
        else:
            selector.unregister(client)
            self._ended.add(client)


@pytest.fixture
def clients(start_system: Start) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(start_system(processes=["inventario"], env=PATIENT), stack)


def assert_not_now(answer: tuple[int, bytes]) -> None:
    status, whole = answer
    head, body = whole.split(b"\r\n\r\n")
    assert (status, b"\r\nRetry-After: 1" in head, b"application/problem+json" in head) == (503, True, True)
    assert json.loads(body)["status"] == 503


def test_no_more_is_kept_for_busy_threads_than_there_is_room_for(clients: Clients, fresh_database_url: str) -> None:
    fit = MAX_AT_WORK // len(adding(100, LARGE))
    too_many = 20
    with busy(fresh_database_url):
        for number in range(fit + too_many):
            clients.send(adding(100 + number, LARGE))
        refused = clients.wait(too_many)
        for answer in refused:
            assert_not_now(answer)
        clients.send(adding(1))
    answers = clients.wait(fit + too_many + 1)
    assert [status for status, _ in answers].count(503) == too_many
    assert [status for status, _ in answers].count(201) == fit + 1


def test_a_newcomer_is_heard_also_when_very_many_wait_for_a_thread(clients: Clients, fresh_database_url: str) -> None:
    """More than the possible connections."""
    too_many = 400
    with busy(fresh_database_url):
        for number in range(PLACES + too_many):
            clients.send(adding(number))
        for answer in clients.wait(too_many):
            assert_not_now(answer)
    answers = clients.wait(PLACES + too_many)
    assert [status for status, _ in answers].count(201) == PLACES
