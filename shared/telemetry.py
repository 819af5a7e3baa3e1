"""Traces (OpenTelemetry), exported by OTLP over HTTP if `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

Otherwise nothing of OpenTelemetry is imported, and these functions return at once. A span's context is passed on as a
W3C `traceparent`: in headers, in rows of sagas and outboxes, and in messages.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

import requests

EXPORT_SECONDS = 2  # for a batch; a process that stops exports the last ones, and is killed when that takes long
ROOT = ""  # as a parent, it makes a span begin a trace
_HEADER = re.compile(
    r"[\w!#$%&'*+.^`|~-]+[ \t]*=[ \t]*[^\x00-\x1f\x7f-\U0010ffff,;\"\\]*", re.ASCII
)  # RFC 9110, W3C Baggage
_BATCH_NUMBERS = ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "EXPORT_TIMEOUT")
Attributes = Mapping[str, str | int | float | bool]
NONE: Attributes = {}
_tracer: Any = None  # an `opentelemetry.trace.Tracer`, once started
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Span:
    """A timed operation. A span of this class is not recorded, and has no context."""

    traceparent: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that passes the context on."""
        return {} if self.traceparent is None else {"traceparent": self.traceparent}

    def tell(self, attributes: Attributes) -> None:
        """Add attributes, named by OpenTelemetry's semantic conventions where these have a name."""

    def end(self, error: str | None = None) -> None:
        """End the span, as failed if there was an error. Only the first call has an effect."""


NOT_RECORDED = Span()


class _RecordedSpan(Span):
    def __init__(self, span: Any) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def end(self, error: str | None = None) -> None:
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  (an optional extra)

        if self._span.is_recording():
            if error is not None:
                self._span.set_status(Status(StatusCode.ERROR, error))
            self._span.end()


def start(service: str, endpoint: str) -> None:
    """Start recording the spans of this process, as those of `service`; without an endpoint, do nothing.

    `endpoint` is the base URL of a collector. Raises `RuntimeError` when the extra `telemetry` is not installed, and
    for a wrong setting of OpenTelemetry's own, which it names. Call it after the last fork, since a thread exports the
    spans; those left are exported when the process ends.
    """
    global _tracer  # noqa: PLW0603  (one for the process)
    if not endpoint or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError("OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra `telemetry` is not installed") from error
    _check_headers()
    _check_numbers()
    session = requests.Session()
    session.trust_env = False  # collectors are called without a proxy, like all other services
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS, session=session)
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    try:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise RuntimeError(f"the settings OTEL_BSP_… do not fit: {error}") from error
    _tracer = provider.get_tracer("checkout-sagas")


def _check_headers() -> None:
    """Raise `RuntimeError` for headers that OpenTelemetry would log, with their secrets, since it can't read them."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        pairs = [pair.strip() for pair in os.environ.get(name, "").split(",")]
        if not all(_HEADER.fullmatch(pair) for pair in pairs if pair):
            raise RuntimeError(f"{name} is no list of name=value pairs with commas between and URL-encoded values")


def _check_numbers() -> None:
    """Raise `RuntimeError` for a number that OpenTelemetry can't read: it would log the value and take its default."""
    for name in (f"OTEL_BSP_{each}" for each in _BATCH_NUMBERS):
        value = os.environ.get(name, "0")
        try:
            int(value)
        except ValueError:
            raise RuntimeError(f"{name} is no whole number") from None


def enabled() -> bool:
    """Whether spans are recorded."""
    return _tracer is not None


def current() -> str | None:
    """Return the `traceparent` of this thread's current span; None without one."""
    return _current.get()


def begin(
    name: str, kind: str, parent: str | None = None, links: Sequence[str | None] = (), attributes: Attributes = NONE
) -> Span:
    """Begin a span without making it current; `parent` and `links` are values of `traceparent`.

    Kinds are those of OpenTelemetry: SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL. Without a parent it is a child of
    the current span; `ROOT` begins a trace.
    """
    if _tracer is None:
        return NOT_RECORDED
    from opentelemetry.trace import Link, SpanKind  # noqa: PLC0415  (an optional extra)

    parent = _current.get() if parent is None else parent
    span = _tracer.start_span(
        name,
        context=_as_parent(parent),
        kind=SpanKind[kind],
        links=[Link(_context_of(each)) for each in links if each],
        attributes=attributes,
    )
    return _RecordedSpan(span)


def enter(span: Span) -> Token[str | None]:
    """Make a span this thread's current one, until `leave`."""
    return _current.set(span.traceparent)


def leave(token: Token[str | None]) -> None:
    """Make the span current again that was current before `enter`."""
    _current.reset(token)


@contextmanager
def span(
    name: str, kind: str, parent: str | None = None, links: Sequence[str | None] = (), attributes: Attributes = NONE
) -> Iterator[Span]:
    """As `begin`, with the span as the current one during the block; an error ends it as failed."""
    if _tracer is None:
        yield NOT_RECORDED
        return
    begun = begin(name, kind, parent, links, attributes)
    token = enter(begun)
    try:
        with ending(begun):
            yield begun
    finally:
        leave(token)


@contextmanager
def ending(*spans: Span) -> Iterator[None]:
    """End, after the block, those of these spans that it did not end; as failed if it raised."""
    try:
        yield
    except BaseException as error:
        for each in spans:
            each.end(type(error).__name__)
        raise
    finally:
        for each in spans:
            each.end()


def _as_parent(traceparent: str | None) -> Any:
    from opentelemetry.context import Context  # noqa: PLC0415  (an optional extra)
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context  # noqa: PLC0415

    return set_span_in_context(NonRecordingSpan(_context_of(traceparent)), Context()) if traceparent else Context()


def _context_of(traceparent: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415  (an optional extra)

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
