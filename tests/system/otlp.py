"""A collector of traces: it takes OTLP over HTTP, as processes export it, and keeps the spans."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Seen:
    """A span; ids are in hexadecimal, `links` are those of traces."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    failed: bool


class Collector:
    """The spans that were exported so far; safe to use from many threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._spans: list[Seen] = []
        self._more = threading.Condition()

    def add(self, body: bytes) -> None:
        """Keep the spans of an export."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._more:
            for resource in request.resource_spans:
                told = {each.key: each.value.string_value for each in resource.resource.attributes}
                self._spans += [
                    Seen(
                        told["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        tuple(link.trace_id.hex() for link in span.links),
                        span.status.code == Status.STATUS_CODE_ERROR,
                    )
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
            self._more.notify_all()

    def wait_for(self, wanted: Callable[[Sequence[Seen]], bool], seconds: float) -> Sequence[Seen]:
        """The spans so far, once they are as `wanted`, or after so many seconds."""
        with self._more:
            self._more.wait_for(lambda: wanted(self._spans), seconds)
            return [*self._spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.add(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
