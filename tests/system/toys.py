"""Toy services that only handle events, so that the messaging of `shared/` can be tested alone.

They have the names of real services, so the contract's events apply to them. Each handler notes in `effects` that it
acted, and publishes the next forward event. `python -m tests.system.toys pagos` runs the worker of one.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import BigInteger, Column, Connection, Identity, Table, Text, Uuid, create_engine, text
from sqlalchemy.pool import NullPool

from shared import event_bus as bus
from shared.config import ServiceSettings, database_url
from shared.database.connections import Database, connect_args, service_metadata
from shared.database.listen import ShutdownSignal
from shared.errors import Refusal
from shared.ids import new_id
from shared.json_codec import dumps
from shared.logs import configure_logs
from shared.messaging.event_worker import jobs
from shared.messaging.inbox import EventHandler, Inbox, Published, handle_new
from shared.messaging.outbox import Outbox
from shared.messaging.subscription import Subscription
from shared.process import worker

# Payment methods with which a handler raises, refuses, or kills its process, after it has acted.
POISON, REFUSED, FATAL = "poison", "refused", "fatal"
MONEY: Mapping[str, Any] = {"amount_minor": 100, "currency": "EUR"}
# The next event of each service's handler, by event.
NEXT: Mapping[str, Mapping[type[bus.Payload], Callable[[Any], bus.Payload]]] = {
    bus.INVENTARIO: {
        bus.CheckoutInitiated: lambda it: bus.InventoryReserved(**it.model_dump(exclude={"items"})),
        bus.OrderCreated: lambda it: bus.InventoryCommitted(**_of(it), order_id=it.order_id),
    },
    bus.PAGOS: {
        bus.InventoryReserved: lambda it: bus.PaymentProcessed(
            **_of(it), payment_id=it.payment_id, order_id=it.order_id, **MONEY
        )
    },
    bus.CARRITO: {
        bus.PaymentProcessed: lambda it: bus.OrderCreated(**_of(it), order_id=it.order_id, payment_id=it.payment_id),
        bus.InventoryCommitted: lambda it: bus.CheckoutCompleted(**_of(it), order_id=it.order_id),
    },
}


class Toy:
    """One toy service, with its own schema."""

    def __init__(self, service: str, url: str) -> None:
        self.service, self.url = service, url
        self.cured = False  # whether messages that made it raise are handled now
        metadata = service_metadata(service)
        self.inbox, self.outbox = Inbox(metadata), Outbox(metadata)
        # No row is unique, so that repeated actions are seen.
        self.effects = Table(
            "effects",
            metadata,
            Column("number", BigInteger, Identity()),  # in the order of the actions
            Column("saga_id", Uuid),
            Column("type", Text),
            Column("user_id", Text),
        )
        self.db = Database(metadata, lambda: _settings(service, url, None))
        handlers = {payload: self._handler(payload, follow) for payload, follow in NEXT[service].items()}
        self.subscription = Subscription(self.outbox, partial(handle_new, inbox=self.inbox, handlers=handlers))

    def create(self) -> None:
        """Create its schema; the role exists, since it belongs to the server."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {self.service} AUTHORIZATION {self.service}"))
            connection.execute(text(f"SET LOCAL ROLE {self.service}"))
            self.db.metadata.create_all(connection)

    def run(self, rabbitmq_url: str, stop: ShutdownSignal) -> None:
        """Run its worker until the shutdown signal."""
        settings = _settings(self.service, self.url, rabbitmq_url)
        app = Flask(self.service)
        self.db.attach(app, settings)
        try:
            worker.run_all(app, stop, *jobs(self.db, self.subscription, settings, stop))
        finally:
            with app.app_context():
                self.db.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction of the toy, as a web process would."""
        engine = create_engine(self.url, poolclass=NullPool, connect_args=connect_args(self.service))
        with engine.begin() as connection:
            yield connection

    def stage(self, *payloads: bus.Payload) -> list[bus.Event]:
        """Stage events in a transaction of their own."""
        events = [bus.Event(payload) for payload in payloads]
        with self.transaction() as connection:
            self.outbox.stage(connection, events)
        return events

    def acted(self) -> Counter[UUID]:
        """Count how often it acted, by saga."""
        with self.transaction() as connection:
            return Counter(connection.scalars(self.effects.select().with_only_columns(self.effects.c.saga_id)))

    def acted_for(self, saga_id: UUID) -> list[str]:
        """The users in a saga's events, in the order in which it reacted to these."""
        effects = self.effects
        users = effects.select().with_only_columns(effects.c.user_id).where(effects.c.saga_id == saga_id)
        with self.transaction() as connection:
            return list(connection.scalars(users.order_by(effects.c.number)))

    def unpublished(self) -> int:
        """Count the unpublished events in its outbox."""
        with self.transaction() as connection:
            return self.outbox.waiting(connection)

    def _handler(self, payload: type[bus.Payload], follow: Callable[[Any], bus.Payload]) -> EventHandler:
        name = bus.event_type_of(payload).name
        columns = "saga_id, type, user_id"
        rows = "json_to_recordset(:rows) AS effect (saga_id uuid, type text, user_id text)"
        note = text(f"INSERT INTO {self.service}.effects ({columns}) SELECT {columns} FROM {rows}")

        def react_to(connection: Connection, said: Sequence[Any]) -> Published:
            effects = [
                {"saga_id": each.saga_id, "type": name, "user_id": getattr(each, "user_id", None)} for each in said
            ]
            connection.execute(note, {"rows": dumps(effects)})
            for each in said:
                self._misbehave(getattr(each, "payment_method", ""))
            return [[follow(each)] for each in said]

        return react_to

    def _misbehave(self, how: str) -> None:
        if how == POISON and not self.cured:
            raise ValueError("poison")
        if how == REFUSED:
            raise Refusal("no")
        if how == FATAL:
            os.kill(os.getpid(), signal.SIGKILL)


def bill(payment_method: str = "paypal") -> dict[str, Any]:
    """Return the fields of the events at a saga's beginning, for a new saga each time."""
    return {
        "saga_id": new_id(),
        "cart_id": new_id(),
        "user_id": "ada",
        "payment_method": payment_method,
        "payment_id": new_id(),
        "order_id": new_id(),
        "total_minor": 100,
        "currency": "EUR",
    }


def initiated(payment_method: str = "paypal") -> bus.CheckoutInitiated:
    """Make the event that inventario handles."""
    return bus.CheckoutInitiated(**bill(payment_method), items=(bus.Item(product_id=1, quantity=1),))


def reserved(payment_method: str = "paypal") -> bus.InventoryReserved:
    """Make the event that pagos handles."""
    return bus.InventoryReserved(**bill(payment_method))


def _of(payload: bus.Payload) -> dict[str, UUID]:
    return {"saga_id": payload.saga_id, "cart_id": payload.cart_id}


def _settings(service: str, url: str, rabbitmq_url: str | None) -> ServiceSettings:
    class Settings(ServiceSettings):
        database_url: str = database_url(service)

    told: dict[str, Any] = {f"{service.upper()}_DATABASE_URL": url}
    return Settings(_env_file=None, **told, rabbitmq_url=rabbitmq_url)


def main(service: str) -> None:
    """Run a worker process with the settings of the environment, until SIGTERM."""
    configure_logs(service, "INFO")
    Toy(service, os.environ["DATABASE_URL"]).run(os.environ["RABBITMQ_URL"], ShutdownSignal.on_signals())


if __name__ == "__main__":
    main(sys.argv[1])
