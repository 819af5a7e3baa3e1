"""Sends commands to participants; the commands of many sagas to the same service go in one request."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenacity import (
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
    wait_random_exponential,
)

from saga_orchestrator.runtime.active_saga import ActiveSagas
from saga_orchestrator.runtime.attempt import CommandAttempt
from saga_orchestrator.runtime.participants import Participants
from saga_orchestrator.runtime.settings import RuntimeSettings
from shared.batching.policy import BatchPolicy
from shared.batching.queue import BatchQueue
from shared.process import crash_points, heartbeat

if TYPE_CHECKING:
    from saga_orchestrator.runtime.runner import SagaRunner

# Beyond 50 commands little is saved, and each waits longer for the others. A usual answer takes a tenth of the 0.1 s;
# a request that takes longer went to a service that is slow, or to one slow copy of it.
BATCHED = BatchPolicy(max_size=50, threads=4, overtake_after=0.1)
Attempts = Sequence[CommandAttempt]


class CommandDispatcher:
    """A queue for each service, and one for the commands that a service takes only one by one."""

    def __init__(
        self,
        participants: Participants,
        settings: RuntimeSettings,
        stopping: threading.Event,
        active: ActiveSagas,
        runner: "SagaRunner",
    ) -> None:
        """`runner.attempted` gets each attempt once, with its outcome; a saga that a defect left without one ends here.

        Such a saga is removed from `active`, and goes on when its lease is over.
        """
        self._participants = participants
        self._active = active
        self._runner = runner
        self._batched = {service: self._queue(service, BATCHED) for service in self._participants.services}
        self._single = self._queue("alone", BatchPolicy(max_size=1, threads=settings.executor_threads))
        self._retrying = Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_attempt(settings.tries_per_attempt),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            sleep=sleep_using_event(stopping),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )

    def start(self) -> None:
        """Start the threads of the queues."""
        for queue in (*self._batched.values(), self._single):
            queue.start()

    def close(self) -> None:
        """Make the attempts that are queued, then end."""
        for queue in (*self._batched.values(), self._single):
            queue.close()

    def dispatch(self, attempts: Attempts) -> None:
        """Queue these attempts; each is up to `tries_per_attempt` requests, while its outcome is unknown."""
        by_queue = defaultdict[BatchQueue[CommandAttempt], list[CommandAttempt]](list)
        for attempt in attempts:
            if not attempt.build_request():
                self._runner.attempted([attempt])
            elif self._participants.takes_batches(attempt.request):
                by_queue[self._batched[attempt.request.service]].append(attempt)
            else:
                by_queue[self._single].append(attempt)
        for queue, queued in by_queue.items():
            queue.put(queued)

    def _queue(self, name: str, policy: BatchPolicy) -> BatchQueue[CommandAttempt]:
        queue: BatchQueue[CommandAttempt] = BatchQueue(
            name,
            lambda attempts: self._attempt(queue, attempts),
            lambda attempts: self._active.remove([attempt.saga for attempt in attempts]),
            policy,
        )
        return queue

    def _attempt(self, queue: BatchQueue[CommandAttempt], attempts: Attempts) -> None:
        in_doubt = [attempt for attempt in attempts if not attempt.saga.lost]
        for attempt in in_doubt:
            crash_points.reach(f"executor.before_call.{attempt.point}")
        if in_doubt:
            self._retrying(self._send, queue, in_doubt)
        self._report(in_doubt)

    def _send(self, queue: BatchQueue[CommandAttempt], in_doubt: list[CommandAttempt]) -> list[CommandAttempt]:
        """One request for these; those with a known outcome are reported at once, the others remain in `in_doubt`."""
        heartbeat.beat()
        started_at = datetime.now(UTC)
        replies = self._participants.send([attempt.request for attempt in in_doubt])
        single, answered = [], []
        for attempt, reply in zip(in_doubt, replies, strict=True):
            if reply is None:
                single.append(attempt)
            else:
                attempt.record(started_at, reply)
                answered.append(attempt)
        in_doubt[:] = [attempt for attempt in answered if attempt.in_doubt]
        if in_doubt:
            queue.let_next_overtake()  # the next request to the service need not wait for the back-off
        self._single.put(single)
        self._report([attempt for attempt in answered if not attempt.in_doubt])
        return in_doubt

    def _report(self, attempts: Attempts) -> None:
        for attempt in attempts:
            crash_points.reach(f"executor.after_call.{attempt.point}")
        if attempts:
            self._runner.attempted(attempts)
