"""Services that do nothing but react, so that the messaging of `shared/` can be tried on its own.

They bear the names of real ones, so that the contract's events are theirs: each reaction notes in `effects` that it
acted, and publishes what comes next on the way forward. `python -m tests.system.toys pagos` is the worker of one.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import Column, Connection, Table, Text, Uuid, create_engine, text

from shared import event_bus as bus
from shared import worker
from shared.config import ServiceSettings, database_url
from shared.db import Database, service_metadata
from shared.event_worker import Part, jobs
from shared.ids import new_id
from shared.inbox import Inbox, Published, Reaction, react
from shared.json_codec import dumps
from shared.logs import configure_logs
from shared.outbox import Outbox
from shared.wakeup import Stop

POISON, DEADLY = "poison", "deadly"  # payment methods: the reaction raises, the reaction kills its process
MONEY: Mapping[str, Any] = {"amount_minor": 100, "currency": "EUR"}
# What each service's reaction to an event says next.
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
    """One toy service, over its own schema."""

    def __init__(self, service: str, url: str) -> None:
        self.service, self.url = service, url
        metadata = service_metadata(service)
        self.inbox, self.outbox = Inbox(metadata), Outbox(metadata)
        # No row is unique: what acts twice is seen.
        self.effects = Table("effects", metadata, Column("saga_id", Uuid), Column("type", Text))
        self.db = Database(metadata, lambda: _settings(service, url, None))
        self.reactions = {payload: self._reaction(payload, follow) for payload, follow in NEXT[service].items()}
        self.part = Part(self.outbox, partial(react, inbox=self.inbox, reactions=self.reactions))
        self._note = text(
            f"INSERT INTO {service}.effects SELECT * FROM json_to_recordset(:rows) AS effect (saga_id uuid, type text)"
        )

    def create(self) -> None:
        """Make its schema; the role is there, since it belongs to the server."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {self.service} AUTHORIZATION {self.service}"))
            connection.execute(text(f"SET LOCAL ROLE {self.service}"))
            self.db.metadata.create_all(connection)
        engine.dispose()

    def app(self) -> Flask:
        """Its process, as far as the database goes."""
        app = Flask(self.service)
        self.db.attach(app, _settings(self.service, self.url, None))
        return app

    def _reaction(self, payload: type[bus.Payload], follow: Callable[[Any], bus.Payload]) -> Reaction:
        name = bus.entry_of(payload).name

        def react_to(uow: Connection, said: Sequence[Any]) -> Published:
            uow.execute(self._note, {"rows": dumps([{"saga_id": each.saga_id, "type": name} for each in said])})
            for each in said:
                _misbehave(getattr(each, "payment_method", ""))
            return [[follow(each)] for each in said]

        return react_to

    def run(self, rabbitmq_url: str, stop: Stop) -> None:
        """Be its worker until told to stop."""
        app = self.app()
        worker.run_all(app, stop, *jobs(self.db, self.part, _settings(self.service, self.url, rabbitmq_url), stop))
        with app.app_context():
            self.db.engine.dispose()


def checkout(payment_method: str = "paypal", saga_id: UUID | None = None) -> bus.CheckoutInitiated:
    """The beginning of a saga."""
    return bus.CheckoutInitiated(
        saga_id=saga_id or new_id(),
        cart_id=new_id(),
        user_id="ada",
        payment_method=payment_method,
        payment_id=new_id(),
        order_id=new_id(),
        total_minor=100,
        currency="EUR",
        items=(bus.Item(product_id=1, quantity=1),),
    )


def _of(payload: bus.Payload) -> dict[str, UUID]:
    return {"saga_id": payload.saga_id, "cart_id": payload.cart_id}


def _misbehave(how: str) -> None:
    if how == POISON:
        raise ValueError("poison")
    if how == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)


def _settings(service: str, url: str, rabbitmq_url: str | None) -> ServiceSettings:
    class Settings(ServiceSettings):
        database_url: str = database_url(service)

    told: dict[str, Any] = {f"{service.upper()}_DATABASE_URL": url}
    return Settings(_env_file=None, **told, rabbitmq_url=rabbitmq_url)


def main(service: str) -> None:
    """A worker process with the settings of the environment, until SIGTERM."""
    configure_logs(service, "INFO")
    Toy(service, os.environ["DATABASE_URL"]).run(os.environ["RABBITMQ_URL"], Stop.on_signals())


if __name__ == "__main__":
    main(sys.argv[1])
