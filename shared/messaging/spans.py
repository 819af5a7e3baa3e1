"""Spans of events: publishing and processing an event continue the trace that it belongs to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from shared import telemetry
from shared.event_bus import Event


@contextmanager
def processing(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Record a span for each event while the block processes them; events that follow from these continue it."""
    if not telemetry.enabled():
        yield events
        return
    spans = [_begin("process", "CONSUMER", event, {"messaging.batch.message_count": len(events)}) for event in events]
    with telemetry.ending(*spans):
        yield [replace(event, trace=span.traceparent) for event, span in zip(events, spans, strict=True)]


def publishing(event: Event, settled: Callable[[bool], None]) -> tuple[Event, Callable[[bool], None]]:
    """Begin a span that ends with the broker's confirm; return the event with its context, and a callback for that."""
    if not telemetry.enabled():
        return event, settled
    span = _begin("publish", "PRODUCER", event, {})

    def settle(there: bool) -> None:
        span.end(None if there else "not confirmed")
        settled(there)

    return replace(event, trace=span.traceparent), settle


def _begin(operation: str, kind: str, event: Event, told: telemetry.Attributes) -> telemetry.Span:
    about = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.message.id": str(event.id),
        "saga.id": str(event.saga_id),
    }
    parent = event.trace or telemetry.ROOT
    return telemetry.begin(f"{operation} {event.event_type.name}", kind, parent, attributes={**about, **told})
