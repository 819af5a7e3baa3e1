"""What every process counts and measures for Prometheus, in its own memory: a scrape sees one process.

What all processes of a service share, such as sagas by status, is read from the database at each scrape instead
(`shared/database/metrics.py`). All names are here, so that dashboards and alerts are written from one page.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.ids import made_at
from shared.saga.states import ENDED

# From what one indexed statement takes to what the slowest call may take before it is given up (`CALL_SECONDS`).
STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# From the fastest checkout to ten times the forward deadline.
SAGA_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)

PROCESS = CollectorRegistry()

_attempts = Counter(
    "saga_step_attempts",
    "Attempts at steps: succeeded, refused, or unknown, after which a step is retried",
    ["style", "service", "step", "direction", "outcome"],
    registry=PROCESS,
)
_step_seconds = Histogram(
    "saga_step_duration_seconds",
    "From a request for a step to its answer; in the choreography, from the event that it follows from to its own",
    ["style", "service", "step", "direction"],
    buckets=STEP_BUCKETS,
    registry=PROCESS,
)
_saga_seconds = Histogram(
    "saga_duration_seconds",
    "From the checkout to the end of its saga; of an undone one, from the request to the end of its compensation",
    ["style", "status"],
    buckets=SAGA_BUCKETS,
    registry=PROCESS,
)
_books_open = Histogram(
    "saga_books_open_seconds",
    "From the first effect of a saga to its end: for so long the services' books differ",
    ["style"],
    buckets=SAGA_BUCKETS,
    registry=PROCESS,
)
_handled = Counter("messages_handled", "Messages whose effects are committed", ["service", "type"], registry=PROCESS)
_batch_seconds = Histogram(
    "message_batch_duration_seconds",
    "A transaction with the effects of messages, until its commit",
    ["service"],
    buckets=STEP_BUCKETS,
    registry=PROCESS,
)
_retries = Counter(
    "message_retries",
    "Messages that are tried again: failed for their own reasons, or held up by locked rows",
    ["service", "type", "reason"],
    registry=PROCESS,
)
_parked = Counter("messages_parked", "Messages that became dead letters", ["service", "type"], registry=PROCESS)
_published = Counter("outbox_published", "Events that the broker confirmed", ["service"], registry=PROCESS)
_unconfirmed = Counter(
    "outbox_unconfirmed",
    "Events that the broker did not confirm, and that are published again",
    ["service"],
    registry=PROCESS,
)
EXECUTOR_SAGAS = Gauge("executor_sagas", "Sagas that this process runs", registry=PROCESS)
EXECUTOR_CAPACITY = Gauge("executor_capacity", "Sagas that this process may run at once", registry=PROCESS)
EXECUTOR_DEFECTS = Counter(
    "executor_defects", "Executors of this web process that a defect ended; the next one follows", registry=PROCESS
)
TAKEOVERS = Counter("executor_takeovers", "Sagas freed from executors that were gone", registry=PROCESS)

OUTCOMES = ("succeeded", "refused", "unknown")  # of an attempt at a step
UNDONE = "undone"  # the status here of a saga that was compensated after its completion
UNKNOWN_TYPE = "unknown"  # of messages whose type is none of the contract's, which are many

# Looking up a metric with labels takes longer than counting.
_attempt = cache(_attempts.labels)
_step = cache(_step_seconds.labels)
_saga = cache(_saga_seconds.labels)
_open = cache(_books_open.labels)
_handled_of = cache(_handled.labels)
_batch_of = cache(_batch_seconds.labels)
published: Callable[[str], Counter] = cache(_published.labels)
unconfirmed: Callable[[str], Counter] = cache(_unconfirmed.labels)
message_retried: Callable[[str, str, str], Counter] = cache(_retries.labels)
message_parked: Callable[[str, str], Counter] = cache(_parked.labels)


class Step(NamedTuple):
    """A step of a style at its service, in one direction."""

    style: str
    service: str
    step: str
    direction: str


def show_attempts(attempts: Iterable[tuple[Step, str]]) -> None:
    """Show at 0 how often these steps had these outcomes, and the ends of their styles' sagas; call it at the start.

    Prometheus takes the first value that it sees of a counter for where it began: what a process counts before the
    first scrape that shows the counter is no increase to `rate` and `increase`.
    """
    for step, outcome in attempts:
        _attempt(*step, outcome)
        for status in (*ENDED, UNDONE):
            _saga(step.style, status)


def show_messages(service: str, types: Iterable[str]) -> None:
    """Show at 0 what may be counted of a service's messages; like `show_attempts`."""
    for event_type in (*types, UNKNOWN_TYPE):
        _handled_of(service, event_type)
        message_parked(service, event_type)
        for reason in ("failed", "locked"):
            message_retried(service, event_type, reason)


def step_attempted(step: Step, outcome: str, seconds: float | None) -> None:
    """Count one attempt at a step, and how long it took, where that is known."""
    _attempt(*step, outcome).inc()
    if seconds is not None:
        _step(*step).observe(max(0.0, seconds))


def saga_ended(style: str, status: str, saga_id: UUID, at: datetime, first_effect_at: datetime | None) -> None:
    """Measure how long a saga took that ended then, and for how long its effects were seen before.

    It began when its id was made, which has that time in it (UUIDv7); with any other id it is not measured. One with
    the status `UNDONE` took as long as its compensation: `first_effect_at` is when that began.
    """
    began_at = first_effect_at if status == UNDONE else made_at(saga_id)
    if began_at is not None:
        _saga(style, status).observe(max(0.0, (at - began_at).total_seconds()))
    if first_effect_at is not None:
        _open(style).observe(max(0.0, (at - first_effect_at).total_seconds()))


def messages_handled(service: str, types: Iterable[str], seconds: float) -> None:
    """Count messages whose effects were committed in one transaction, and how long that took."""
    for event_type, count in Tally(types).items():
        _handled_of(service, event_type).inc(count)
    _batch_of(service).observe(seconds)
