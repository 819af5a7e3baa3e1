"""A steady load: checkouts begin when they are due, whether earlier ones have been answered or not (open loop).

One thread keeps the schedule. Each checkout in flight has a thread, of which there are at most `MOST_IN_FLIGHT`;
further due checkouts are counted and not sent. The load ends when nobody looks at it any more.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from dashboard.load_counts import Counting, Counts, Outcome
from dashboard.load_plan import LoadPlan, Mix, Planned
from dashboard.styles import STYLES

MOST_IN_FLIGHT = 32  # threads; at the highest rate, enough for answers that take 0.6 s
UNWATCHED_SECONDS = 60.0  # since the last request for the page; an open page sends one every few seconds
NOBODY_LOOKS = "nobody looked for a minute"
log = structlog.get_logger()

# Sends one checkout; returns its outcome, the milliseconds until it was accepted, and why it was not.
Send = Callable[[Planned], tuple[Outcome, float, str]]


@dataclass
class Run:
    """One load, from its start to its end. `why_ended` is empty while it runs."""

    plan: LoadPlan
    products: Mapping[str, Sequence[int]]
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    why_ended: str = ""
    counting: Counting = field(default_factory=lambda: Counting(tuple(STYLES)))
    mix: Mix = field(default_factory=Mix)


@dataclass(frozen=True)
class LoadState:
    """The present load, or the last one, for people. `began_at` is None when there was none."""

    plan: LoadPlan
    is_running: bool = False
    began_at: datetime | None = None
    why_ended: str = ""
    counts: Counts = field(default_factory=lambda: Counting(tuple(STYLES)).now())


class LoadDriver:
    """The one load of this process, shared by all viewers. Thread-safe."""

    def __init__(self, send: Send, unwatched_seconds: float = UNWATCHED_SECONDS) -> None:
        self._send = send
        self._unwatched_seconds = unwatched_seconds
        self._changed = threading.Condition()
        self._places = threading.BoundedSemaphore(MOST_IN_FLIGHT)
        self._run: Run | None = None
        self.seen_at = time.monotonic()

    def seen(self) -> None:
        """Record that somebody looks at the load."""
        self.seen_at = time.monotonic()

    def run(self, plan: LoadPlan, products: Mapping[str, Sequence[int]]) -> None:
        """Start a load with this plan, or change the present one to it; `products` are ids by the plan's choice."""
        with self._changed:
            self.seen()
            if self._run is not None and not self._run.why_ended:
                self._run.plan, self._run.products = plan, products
                self._changed.notify_all()
                return
            run = Run(plan, products)
            threading.Thread(target=self._keep_time, args=(run,), name="load", daemon=True).start()
            self._run = run
        log.info("load begins", plan=plan.said)

    def stop(self, why: str) -> None:
        """Begin no further checkout; those in flight are still answered."""
        with self._changed:
            if self._run is not None and not self._run.why_ended:
                self._run.why_ended = why
                self._changed.notify_all()
                log.info("load ends", why=why)

    def state(self) -> LoadState:
        """Return the present state."""
        with self._changed:
            run = self._run
            if run is None:
                return LoadState(LoadPlan())
            return LoadState(run.plan, not run.why_ended, run.began_at, run.why_ended, run.counting.now())

    def _keep_time(self, run: Run) -> None:
        due = time.monotonic()
        try:
            while self._wait_until(run, due):
                self._begin(run)
                due += 1 / run.plan.rate
        finally:
            self.stop("an unexpected error, which the dashboard's log tells")  # has no effect on a load that has ended

    def _wait_until(self, run: Run, due: float) -> bool:
        """Wait until this time; return whether the load still runs."""
        with self._changed:
            while not run.why_ended:
                now, alone_at = time.monotonic(), self.seen_at + self._unwatched_seconds
                if now >= alone_at:
                    self.stop(NOBODY_LOOKS)
                elif now >= due:
                    return True
                else:
                    self._changed.wait(min(due, alone_at) - now)
        return False

    def _begin(self, run: Run) -> None:
        if not self._places.acquire(blocking=False):
            run.counting.held_back()
            return
        planned = run.mix.next(run.plan, run.products)
        run.counting.sent(planned.style)
        threading.Thread(target=self._one, args=(run, planned), name="load-checkout", daemon=True).start()

    def _one(self, run: Run, planned: Planned) -> None:
        outcome: tuple[Outcome, float, str] = ("failed", 0.0, "an unexpected error, which the dashboard's log tells")
        try:
            outcome = self._send(planned)
        except Exception:
            log.exception("a checkout of the load failed unexpectedly")
        finally:
            run.counting.ended(planned.style, *outcome)
            self._places.release()
