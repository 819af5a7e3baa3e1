"""`/metrics` of a worker, which has no web server: what this process counts, for Prometheus."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, start_http_server

METRICS_SERVER = "metrics_server"  # the app's extension: serves what this process counts, during a block
log = structlog.get_logger()


@contextmanager
def served(address: str, registry: CollectorRegistry) -> Iterator[None]:
    """Serve the registry at `address` (`host:port`) in threads of its own during the block; nowhere if it is empty.

    Raises `OSError` when the address is taken.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), host, registry)
    log.info("metrics", address=address)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
