"""The worker counts its connections correctly, whatever becomes of them; the tests run its loop by hand."""

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from shared.http.server import BufferingWorker

PLACES = 8


class Loop:
    """A worker without an application: connections come, wait and go, and no request is ever complete."""

    def __init__(self) -> None:
        config = Config()
        config.set("worker_connections", PLACES)
        config.set("threads", 1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.worker = BufferingWorker(1, 1, [self.listener], None, 30, config, Logger(config))
        self.worker.poller = selectors.DefaultSelector()
        self.worker.set_accept_enabled(True)

    def turn(self) -> None:
        self.worker.wait_for_and_dispatch_events(timeout=0.5)
        self.worker.murder_keepalived()

    @property
    def open(self) -> int:
        """Return the number of open connections."""
        return len(self.worker.poller.get_map()) - 1  # without the listener

    def close(self) -> None:
        self.worker.murder_keepalived(force=True)
        self.worker.poller.close()
        self.worker.tmp.close()
        self.listener.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_connections_that_are_ready_as_they_make_room_are_counted_once(loop: Loop) -> None:
    with ExitStack() as stack:

        def connect() -> socket.socket:
            client = socket.create_connection(loop.listener.getsockname())
            stack.callback(client.close)
            return client

        waiting = [connect()]
        for _ in range(5 * PLACES):
            waiting.append(connect())  # the listener is ready first, and then
            waiting[max(0, len(waiting) - PLACES)].sendall(b"GET")  # the one that will make room
            loop.turn()
            assert loop.worker.nr_conns == loop.open < PLACES
    while loop.open:
        loop.turn()
    assert loop.worker.nr_conns == 0
