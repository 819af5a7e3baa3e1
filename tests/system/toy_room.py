"""Toy services with a database, a broker, and workers, as threads or as processes that can be killed."""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.database.listen import ShutdownSignal
from shared.event_bus import CHOREOGRAPHY, EXCHANGE, Event, Payload
from shared.messaging.cloud_events import from_message, to_message
from shared.testing import wait_until
from tests.system.queues import Message, Queues
from tests.system.running import Spawner
from tests.system.topology import declare_topology
from tests.system.toys import NEXT, Toy


class Room:
    """Toys of all services over one database and one broker.

    No toy stands for saga_choreography; its queue has a copy of every event, so `published` is what was published.
    """

    def __init__(self, database_url: str, rabbitmq_url: str, spawner: Spawner, folder: Path) -> None:
        self.database_url, self.rabbitmq_url = database_url, rabbitmq_url
        self.queues = Queues(rabbitmq_url)
        self.published: list[Event] = []
        self._spawner, self._folder = spawner, folder
        self._toys = {service: Toy(service, database_url) for service in NEXT}
        for toy in self._toys.values():
            toy.create()
        self._threads: list[WorkerThread] = []
        self._processes: list[WorkerProcess] = []

    def __getitem__(self, service: str) -> Toy:
        return self._toys[service]

    def open(self) -> None:
        """Declare the queues, so that events can be published before any worker runs."""
        declare_topology(self.rabbitmq_url)

    def run(self, *services: str) -> list["WorkerThread"]:
        """Run workers as threads for the block."""
        started = [WorkerThread(self._toys[service], self.rabbitmq_url) for service in services]
        self._threads += started
        return started

    def spawn(self, service: str, **env: str) -> "WorkerProcess":
        """Run a worker as a process; it is killed at the end."""
        log = self._folder / f"{service}-{len(self._processes)}.log"
        told = {"DATABASE_URL": self.database_url, "RABBITMQ_URL": self.rabbitmq_url, "SETTINGS_FILES": "", **env}
        pid = self._spawner.start([sys.executable, "-m", "tests.system.toys", service], {**os.environ, **told}, log)
        self._processes.append(WorkerProcess(self._spawner, pid, log))
        return self._processes[-1]

    def publish(self, *events: Event | Payload) -> list[Event]:
        """Publish events, and return when the broker has them."""
        facts = [each if isinstance(each, Event) else Event(each) for each in events]
        with _channel(self.rabbitmq_url) as channel:
            channel.confirm_delivery()
            for fact in facts:
                sent = to_message(fact)
                channel.basic_publish(EXCHANGE, sent.routing_key, sent.body, _properties(sent.headers), mandatory=True)
        return facts

    def ask(self, statement: str) -> Any:
        """Return the result of a statement, executed as the database's administrator."""
        engine = create_engine(self.database_url, poolclass=NullPool)
        with engine.connect() as connection:
            return connection.scalar(text(statement))

    def delete_queue(self, queue: str) -> None:
        """Delete a queue with its messages and consumers."""
        with _channel(self.rabbitmq_url) as channel:
            channel.queue_delete(queue)

    def replace_queue(self, queue: str) -> None:
        """Declare a queue anew with other arguments than the services'."""
        with _channel(self.rabbitmq_url) as channel:
            channel.queue_delete(queue)
            channel.queue_declare(queue, durable=True)

    def delete_exchange(self, exchange: str) -> None:
        """Delete the exchange with its bindings."""
        with _channel(self.rabbitmq_url) as channel:
            channel.exchange_delete(exchange)

    def unbind(self, queue: str, routing_key: str) -> None:
        """Remove the binding of an event type from a queue."""
        with _channel(self.rabbitmq_url) as channel:
            channel.queue_unbind(queue, EXCHANGE, routing_key)

    def has_queue(self, queue: str) -> bool:
        """Whether the queue exists."""
        try:
            self.queues.depth(queue)
        except ChannelClosedByBroker:
            return False
        return True

    def counts(self, service: str) -> Counter[UUID]:
        """Count how often each event of a publisher was published so far, by saga."""
        for message in self.queues.take(CHOREOGRAPHY):
            self.published.append(from_message(message.properties.headers or {}, message.body))
        return Counter(event.saga_id for event in self.published if event.event_type.publisher == service)

    def followed(self, service: str) -> Counter[UUID]:
        """Count the events of a publisher so far, by saga, each once.

        On a busy machine an event is published again when its confirm takes longer than its lease.
        """
        self.counts(service)
        events = {event.id: event for event in self.published if event.event_type.publisher == service}
        return Counter(event.saga_id for event in events.values())

    def wait_acted(self, service: str, events: Sequence[Event], seconds: float = 30) -> None:
        """Wait until a toy has handled each of these."""
        wanted = {event.saga_id for event in events}
        wait_until(lambda: self[service].acted().keys() >= wanted, f"{service} reacts to {len(wanted)} events", seconds)

    def wait_quiet(self, service: str, seconds: float = 30) -> None:
        """Wait until a toy has no messages, unacknowledged deliveries or staged events."""
        toy = self[service]
        wait_until(lambda: toy.unpublished() == 0, f"the outbox of {service} is empty", seconds)
        wait_until(lambda: self.queues.depth(service) == 0, f"the queue of {service} is empty", seconds)

    def close(self) -> None:
        """End everything that runs here; the logs of processes are shown when a test failed."""
        for thread in self._threads:
            thread.stop()
        for process in self._processes:
            process.kill()
            print(process.log())  # noqa: T201


class WorkerThread:
    """The worker of a toy service in a thread."""

    def __init__(self, toy: Toy, rabbitmq_url: str) -> None:
        self._stop = ShutdownSignal()
        self._thread = threading.Thread(target=toy.run, args=(rabbitmq_url, self._stop), daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 10) -> None:
        """Stop it; returns when it has ended."""
        self._stop.request()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"it still works after {seconds} s"


class WorkerProcess:
    """The worker of a toy service in a process."""

    def __init__(self, spawner: Spawner, pid: int, log: Path) -> None:
        self._spawner, self._pid, self._log = spawner, pid, log

    @property
    def status(self) -> int | None:
        """Return its exit status; None while it lives."""
        return self._spawner.status(self._pid)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.wait_dead()

    def stop(self) -> None:
        """Send SIGTERM; returns at once."""
        os.kill(self._pid, signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP it."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT it."""
        os.kill(self._pid, signal.SIGCONT)

    def wait_dead(self, seconds: float = 30) -> int:
        """Wait until it ended; return its exit status."""
        wait_until(lambda: self.status is not None, f"{self._log.stem} ends\n{self.log()}", seconds)
        return self.status or 0

    def log(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:]) if self._log.exists() else ""


@contextmanager
def _channel(url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def _properties(headers: dict[str, Any]) -> pika.BasicProperties:
    return pika.BasicProperties(content_type="application/json", headers=headers, delivery_mode=2)


def raw(body: bytes, headers: dict[str, Any], content_type: str | None = "application/json") -> Message:
    """Make a message with any headers and body."""
    return Message(body, pika.BasicProperties(content_type=content_type, headers=headers, delivery_mode=2))


@pytest.fixture
def room(
    empty_database_url: str,
    database_url: str,  # which creates the roles
    rabbitmq_url: str,
    _spawner: Spawner,
    tmp_path: Path,
) -> Iterator[Room]:
    """A room on a broker of its own."""
    made = Room(empty_database_url, rabbitmq_url, _spawner, tmp_path)
    made.open()
    yield made
    made.close()
