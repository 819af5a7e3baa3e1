"""Sends commands to participants; the commands of many sagas to the same service go in one request."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from tenacity import (
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
    wait_random_exponential,
)

from saga_orchestrator.runtime.attempt import CommandAttempt
from saga_orchestrator.runtime.participants import Participants
from saga_orchestrator.runtime.settings import RuntimeSettings
from shared.batching.policy import BatchPolicy
from shared.batching.queue import BatchQueue
from shared.process import crash_points, heartbeat

# More than 50 commands in a request save little, and each waits longer for the others. A usual answer takes a tenth of
# the 0.1 s; a request that takes longer is at a slow service, or at one slow replica of it.
BATCHED = BatchPolicy(max_size=50, threads=4, overtake_after=0.1)
ONE_BY_ONE = "one by one"  # the name of the queue of commands that no request shares
Attempts = Sequence[CommandAttempt]


class AttemptObserver(Protocol):
    """Decides what follows attempts."""

    def attempted(self, attempts: Attempts) -> None:
        """Called when the outcomes of these attempts are known."""

    def abandoned(self, attempts: Attempts) -> None:
        """Called when a defect left these attempts without outcomes; some may have been reported before."""


class CommandDispatcher:
    """A queue for each service, and one for the commands that a service takes only one by one."""

    _observer: AttemptObserver

    def __init__(self, participants: Participants, settings: RuntimeSettings, stopping: threading.Event) -> None:
        """Stop retrying requests when `stopping` is set."""
        self._participants = participants
        policies = dict.fromkeys(participants.services, BATCHED)
        policies[ONE_BY_ONE] = BatchPolicy(max_size=1, threads=settings.executor_threads)
        self._queues = {
            name: BatchQueue(name, partial(self._attempt, name), self._abandon, policy)
            for name, policy in policies.items()
        }
        self._retrying = Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_attempt(settings.tries_per_attempt),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            sleep=sleep_using_event(stopping),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )

    def start(self, observer: AttemptObserver) -> None:
        """Start the threads of the queues; `observer` is called with each dispatched attempt."""
        self._observer = observer
        for queue in self._queues.values():
            queue.start()

    def close(self) -> None:
        """Make the queued attempts, then end the threads."""
        for queue in self._queues.values():
            queue.close()

    def dispatch(self, attempts: Attempts) -> None:
        """Queue these attempts. Each makes up to `tries_per_attempt` requests while its outcome is unknown."""
        by_queue = defaultdict[str, list[CommandAttempt]](list)
        for attempt in attempts:
            if not attempt.build_request():
                self._observer.attempted([attempt])
            elif self._participants.takes_batches(attempt.request):
                by_queue[attempt.request.service].append(attempt)
            else:
                by_queue[ONE_BY_ONE].append(attempt)
        for name, queued in by_queue.items():
            self._queues[name].put(queued)

    def _abandon(self, attempts: Attempts) -> None:
        self._observer.abandoned(attempts)

    def _attempt(self, queue: str, attempts: Attempts) -> None:
        in_doubt = [attempt for attempt in attempts if not attempt.saga.lost]
        for attempt in in_doubt:
            crash_points.reach(f"executor.before_call.{attempt.point}")
        if in_doubt:
            self._retrying(self._send, queue, in_doubt)
        self._report(in_doubt)

    def _send(self, queue: str, in_doubt: list[CommandAttempt]) -> list[CommandAttempt]:
        """Send one request for these attempts, and report known outcomes. The others remain in `in_doubt`."""
        heartbeat.beat()
        started_at = datetime.now(UTC)
        replies = self._participants.send([attempt.traced_request() for attempt in in_doubt])
        single, answered = [], []
        for attempt, reply in zip(in_doubt, replies, strict=True):
            if reply is None:
                single.append(attempt)
            else:
                attempt.record(started_at, reply)
                answered.append(attempt)
        in_doubt[:] = [attempt for attempt in answered if attempt.in_doubt]
        if in_doubt:
            self._queues[queue].let_next_overtake()  # the next request need not wait for this back-off
        self._queues[ONE_BY_ONE].put(single)
        self._report([attempt for attempt in answered if not attempt.in_doubt])
        return in_doubt

    def _report(self, attempts: Attempts) -> None:
        for attempt in attempts:
            crash_points.reach(f"executor.after_call.{attempt.point}")
        if attempts:
            self._observer.attempted(attempts)
