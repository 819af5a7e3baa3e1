"""The job that consumes a service's events and publishes its outbox: one thread, one event loop."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg2
import structlog

from shared import metrics
from shared.config import ServiceSettings
from shared.database.connections import Database, is_unavailable, url_of
from shared.database.listen import Listener, ShutdownSignal
from shared.event_bus import bindings
from shared.fault_switches.messages import MessageFaults
from shared.fault_switches.store import FaultStore
from shared.fault_switches.worker import FaultyConsumer, FaultyPublisher
from shared.messaging.consumer import Consumer
from shared.messaging.publisher import AWAY_SECONDS, Publisher
from shared.messaging.subscription import Subscription
from shared.process import heartbeat
from shared.rabbitmq import Bus, Loop
from shared.topology import Topology

STOP_SECONDS = 5.0  # to wait for outstanding confirms
# A poison message is parked before so many failures; for any other cause, a new connection does not help.
MOST_FAILURES, FAILURES_SECONDS = 10, 60.0
log = structlog.get_logger()


def jobs(
    db: Database,
    subscription: Subscription,
    settings: ServiceSettings,
    stop: ShutdownSignal,
    fault_store: FaultStore | None = None,
) -> list[Callable[[], None]]:
    """Return the jobs of a worker process for its service's events; none without a broker.

    With `FAULTS=true`, the faults that are switched on in `fault_store` happen to its messages.
    """
    if settings.rabbitmq_url is None:
        return []
    if settings.faults and fault_store is not None:
        subscription = replace(subscription, faults=MessageFaults(db, fault_store))
    return [EventWorker(db, subscription, settings, settings.rabbitmq_url, stop).run]


class EventWorker:
    """Consumes and publishes a service's events; any number of them may run."""

    def __init__(
        self,
        db: Database,
        subscription: Subscription,
        settings: ServiceSettings,
        rabbitmq_url: str,
        stop: ShutdownSignal,
    ) -> None:
        metrics.show_messages(db.service, bindings().get(db.service, ()))
        self._stop = stop
        self._loop = Loop(self._failed)
        self._bus = Bus(
            rabbitmq_url,
            db.service,
            self._loop,
            self._changed,
            topology=Topology.of(settings),
            topology_seconds=settings.topology_seconds,
            prefetch=subscription.prefetch,
        )
        self._publisher = self._make_publisher(db, subscription)
        self._consumer = self._make_consumer(db, subscription)
        self._listener = Listener(url_of(settings), subscription.outbox.channel)
        self._max_wait = subscription.batches.max_wait
        self._batch_timer: Any = None  # while a batch is open for more messages
        self._awake = self._stopping = False
        self._paused_until = 0.0
        self._failures = deque[float](maxlen=MOST_FAILURES)
        self._fatal: Exception | None = None

    def _make_publisher(self, db: Database, subscription: Subscription) -> Publisher:
        if subscription.faults is None:
            return Publisher(db, subscription.outbox, self._bus, self._loop, self._wake)
        return FaultyPublisher(subscription.faults, db, subscription.outbox, self._bus, self._loop, self._wake)

    def _make_consumer(self, db: Database, subscription: Subscription) -> Consumer:
        if subscription.faults is None:
            return Consumer(db, subscription, self._bus, self._loop, self._publisher)
        return FaultyConsumer(subscription.faults, db, subscription, self._bus, self._loop, self._publisher)

    def run(self) -> None:
        """Work until the shutdown signal; call it in the app's context. Raises an error that persists."""
        with heartbeat.loop("events"):
            heartbeat.cannot("not connected to the broker yet")
            self._loop.add_handler(self._stop.pipe.fileno(), self._shutdown_requested, Loop.READ)
            self._beat()
            self._listen()
            self._bus.open()
            self._loop.start()
        self._loop.close()
        self._listener.close()
        if self._fatal is not None:
            raise self._fatal

    def _beat(self) -> None:
        heartbeat.beat()
        self._loop.call_later(heartbeat.BEAT_SECONDS, self._beat)

    def _changed(self) -> None:
        """Called when a message or a confirm arrived, or the connection opened."""
        if not self._consumer.should_wait:
            self._close_batch()
        elif self._batch_timer is None and not self._awake:
            self._batch_timer = self._loop.call_later(self._max_wait, self._close_batch)

    def _close_batch(self) -> None:
        if self._batch_timer is not None:
            self._loop.remove_timeout(self._batch_timer)
            self._batch_timer = None
        self._wake()

    @property
    def _may_consume(self) -> bool:
        return self._publisher.has_room and self._consumer.due and self._batch_timer is None

    def _wake(self) -> None:
        """Schedule `_work` once, however often it is called; messages that arrive until then are handled together."""
        if not self._awake:
            self._awake = True
            self._loop.call_later(0, self._work)

    def _work(self) -> None:
        """Do a part of the work, and schedule the rest."""
        self._awake = False
        if self._stopping:
            return self._finish()
        if not self._bus.ready or time.monotonic() < self._paused_until:
            return None
        try:
            self._consumer.look()
            if self._may_consume:
                self._consumer.consume()
            if self._publisher.has_room and self._publisher.due:
                self._publisher.relay()
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("database unavailable", error=str(error).splitlines()[0])
            return self._pause()
        if self._may_consume or (self._publisher.has_room and self._publisher.due):
            self._wake()
        return None

    def _pause(self) -> None:
        self._publisher.due = True  # a transaction may have committed without an answer
        self._paused_until = time.monotonic() + AWAY_SECONDS
        self._loop.call_later(AWAY_SECONDS + 0.01, self._wake)

    def _failed(self, error: Exception) -> None:
        """Handle an unexpected error of a callback: connect again, unless that did not help lately.

        Unacknowledged messages count as requeued by a failure, so a poison message is found and parked. An error that
        persists ends the process; its supervisor starts another.
        """
        log.error("unexpected error", exc_info=error)
        if self._fatal is not None:
            return None
        now = time.monotonic()
        if len(self._failures) == MOST_FAILURES and now - self._failures[0] < FAILURES_SECONDS:
            log.critical("the worker ends: it failed too often", times=MOST_FAILURES, seconds=FAILURES_SECONDS)
            return self._give_up(error)
        self._failures.append(now)
        self._bus.reset(error)
        return self._pause()

    def _give_up(self, error: Exception) -> None:
        """End at once, as if killed: unacknowledged messages return to the queue."""
        self._fatal = error
        self._stopping = True
        self._bus.give_up(error)
        self._loop.call_later(STOP_SECONDS, self._loop.stop)
        self._wake()

    def _listen(self) -> None:
        """LISTEN for staged events, and look for those that were staged before."""
        try:
            self._listener.open()
        except psycopg2.Error as error:
            if not is_unavailable(error):
                raise
            log.warning("not listening", error=str(error).strip())
            self._loop.call_later(AWAY_SECONDS, self._listen)
            return
        self._loop.add_handler(self._listener.fileno(), self._notified, Loop.READ)
        self._look()

    def _look(self) -> None:
        """Look for staged events and fault switches."""
        self._publisher.due = True
        self._consumer.told = True
        self._wake()

    def _notified(self, fd: int, _: int) -> None:
        try:
            self._listener.wait(0)
        except psycopg2.OperationalError:
            with suppress(OSError):  # it is closed, and no longer watched
                self._loop.remove_handler(fd)
            self._loop.call_later(AWAY_SECONDS, self._listen)
        self._look()

    def _shutdown_requested(self, fd: int, _: int) -> None:
        self._loop.remove_handler(fd)
        self._stopping = True
        self._bus.stop_consuming()
        self._loop.call_later(STOP_SECONDS, self._loop.stop)
        self._wake()

    def _finish(self) -> None:
        """End when all published events are confirmed; other processes publish those that are not."""
        if self._bus.closed:
            self._loop.stop()
        elif not self._bus.unconfirmed:
            self._publisher.flush()
            self._bus.close()
