"""`/metrics` of a worker, which has no web server: what this process counts, for Prometheus."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

METRICS_SERVER = "metrics_server"  # the app's extension: serves what this process counts, during a block
CLIENT_SECONDS = 10.0  # that a client may take in all; Prometheus waits no longer
MOST_CLIENTS = 32  # at once: each has a thread and a file, of which the worker needs some for its work
log = structlog.get_logger()


@contextmanager
def served(address: str, registry: CollectorRegistry) -> Iterator[None]:
    """Serve the registry at `address` (`host:port`) in threads of its own during the block; nowhere if it is empty.

    Raises `OSError`, which names the setting, when the address is taken or is none of this machine.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    try:
        server = make_server(host.strip("[]"), int(port), make_wsgi_app(registry), _server_class(host), _Handler)
    except OSError as error:
        raise OSError(f"METRICS_ADDRESS {address}: {error.strerror or error}") from error
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    log.info("metrics", address=address)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    def address_string(self) -> str:
        """Return the client's address as it is; the default looks its name up."""
        return str(self.client_address[0])

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


class _Server(ThreadingWSGIServer):
    """Ends the connections of clients that take too long, and the oldest one when there are too many."""

    def __init__(self, *arguments: Any) -> None:
        self._until: dict[socket.socket, float] = {}  # the oldest first
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        with self._lock:
            if len(self._until) >= MOST_CLIENTS:
                self._end(next(iter(self._until)))
            self._until[request] = time.monotonic() + CLIENT_SECONDS
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Run twice a second, between two connections."""
        now = time.monotonic()
        with self._lock:
            for request in [request for request, until in self._until.items() if until < now]:
                self._end(request)

    def _end(self, request: socket.socket) -> None:
        """Wake the thread of the connection, which closes it."""
        del self._until[request]
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was served."""
        with self._lock:
            self._until.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """Log what ended a connection as any other line; by default it goes to standard error."""
        log.debug("a scrape failed", exc_info=True)


def _server_class(host: str) -> type[_Server]:
    class Server(_Server):
        address_family = socket.getaddrinfo(host.strip("[]"), None)[0][0]

    return Server
