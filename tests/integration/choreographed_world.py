"""The participants and saga_choreography, with a collection of events in flight in place of a broker.

A published event is in flight for each service that consumes it, until it is delivered: in any order, with any others,
and more than once. The services are real, on a real PostgreSQL.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import text

from carrito import service as orders
from carrito.domain import OrderOfSaga
from inventario import service as stock
from inventario.domain import Unreserve
from pagos import service as money
from pagos.domain import Refund
from saga_choreography.domain import Limits
from saga_choreography.models import outbox
from saga_choreography.recording import record
from shared.event_bus import CARRITO, CHOREOGRAPHY, INVENTARIO, PAGOS, CheckoutInitiated, Event
from shared.ids import new_id
from shared.messaging.subscription import Subscription, all_together
from tests.integration.inventario_client import Inventario
from tests.integration.reacting import Carts, Reacting, of

CURRENCY = "EUR"
LIMITS = Limits(forward_seconds=600, stuck_seconds=600, resend_seconds=600)  # no watchdog runs here


class World:
    """The services. Many histories share them, each with products, users and sagas of its own."""

    def __init__(self, service_client: Callable[..., FlaskClient], database_url: str) -> None:
        clients = {
            name: service_client(name, database_url=database_url) for name in (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY)
        }
        self.carts, self.products = Carts(clients[CARRITO]), Inventario(clients[INVENTARIO])
        self.stock, self.money = Reacting(clients[INVENTARIO]), Reacting(clients[PAGOS])
        self.window = Reacting(
            clients[CHOREOGRAPHY], Subscription(outbox, partial(record, limits=LIMITS), all_together)
        )
        self.participants = (self.carts, self.stock, self.money)


@dataclass
class Saga:
    """One checkout, and what was done to it."""

    begun: CheckoutInitiated
    by_a_person: bool = False
    by_a_deadline: bool = False
    expired: bool = False  # whether its hold has expired
    by_hand: bool = False


@dataclass
class Became:
    """What the services have stored of a saga, when nothing is in flight."""

    reservation: str | None
    payment: str | None
    booked: list[str]
    order: str | None
    shown: str | None


class History:
    """What happens in a world after its stock and a wallet were filled.

    Several workers may deliver at the same time, also the same event.
    """

    def __init__(self, world: World, shelves: Sequence[int], wallet_minor: int) -> None:
        self._world = world
        self.user, self.deposited_minor = str(new_id()), wallet_minor
        self.products = {world.products.add(quantity): quantity for quantity in shelves}
        with world.money.transaction() as connection:
            money.deposit(connection, self.user, CURRENCY, wallet_minor)
        self.sagas: dict[UUID, Saga] = {}
        self.carts: dict[UUID, list[Saga]] = {}
        self.published: list[Event] = []
        self.in_flight: dict[str, list[Event]] = {each.name: [] for each in (*world.participants, world.window)}
        self._lock = threading.Lock()

    # What may happen.

    def open_cart(self, product_id: int, quantity: int) -> UUID:
        """Create a cart with so many of a product."""
        cart_id = self._world.carts.open(product_id, quantity, self.user)
        self.carts[cart_id] = []
        return cart_id

    def begin(self, cart_id: UUID, payment_method: str) -> None:
        """Check a cart out."""
        event = self._world.carts.begin(cart_id, payment_method, self.user)
        assert isinstance(event.payload, CheckoutInitiated)
        self.sagas[event.saga_id] = saga = Saga(event.payload)
        self.carts[cart_id].append(saga)
        self._publish(event)

    def cancel(self, saga: Saga, *, late: bool) -> None:
        """Request a cancellation, for a deadline (`late`) or a person."""
        saga.by_a_deadline |= late
        saga.by_a_person |= not late
        with self._lock:
            self._publish(Event(of(saga.begun).cancel(late=late)))

    def undo_by_hand(self, saga: Saga, service: str) -> None:
        """Have a service compensate its step, over HTTP; then a person must request the rest."""
        saga.by_hand = True
        saga_id = saga.begun.saga_id
        saga.by_a_person = True
        if service == CARRITO:
            with self._world.carts.transaction() as connection:
                orders.cancel_order(connection, [OrderOfSaga(saga_id)])
        elif service == INVENTARIO:
            with self._world.stock.transaction() as connection:
                stock.unreserve(connection, [Unreserve(saga_id)])
        else:
            with self._world.money.transaction() as connection:
                money.refund(connection, [Refund(saga_id)])

    def expire(self, saga: Saga) -> None:
        """Let the saga's hold expire, if it has one."""
        over = text("UPDATE reservations SET expires_at = now() WHERE saga_id = :id AND status = 'held' RETURNING TRUE")
        with self._world.stock.transaction() as connection:
            saga.expired |= bool(connection.scalar(over, {"id": saga.begun.saga_id}))
            stock.expire_holds(connection, limit=100)

    def deliver(self, name: str, events: Sequence[Event], *, dies: bool = False, again: bool = False) -> None:
        """Deliver some events in flight to a service; with `again`, they stay in flight.

        They also stay if the worker `dies` before its commit, and then nothing has happened.
        """
        [service] = [each for each in (*self._world.participants, self._world.window) if each.name == name]
        following = service.take(events, dies=dies)
        with self._lock:
            for event in following:
                self._publish(event)
            if not (dies or again):
                done = {each.id for each in events}
                self.in_flight[name] = [each for each in self.in_flight[name] if each.id not in done]

    def _publish(self, event: Event) -> None:
        self.published.append(event)
        self.in_flight[CHOREOGRAPHY].append(event)
        for service in self._world.participants:
            if type(event.payload) in import_module(f"{service.name}.event_handlers").EVENT_HANDLERS:
                self.in_flight[service.name].append(event)

    # What was published, and the results.

    @property
    def quiet(self) -> bool:
        """Whether the participants have nothing left to do."""
        return not any(events for name, events in self.in_flight.items() if name != CHOREOGRAPHY)

    def told(self, saga: Saga) -> Counter[str]:
        """Count how often each event was published for a saga."""
        return Counter(each.event_type.name for each in self.published if each.saga_id == saga.begun.saga_id)

    def amounts(self, saga: Saga, name: str) -> list[int]:
        """Return the amounts of a saga's events of this type."""
        told = [each for each in self.published if (each.saga_id, each.event_type.name) == (saga.begun.saga_id, name)]
        return [each.payload.amount_minor for each in told]  # type: ignore[attr-defined]

    def became(self) -> list[tuple[Saga, Became]]:
        """Return every saga with its result."""
        world = self._world
        reservations = self._of_sagas(world.stock, "status FROM reservations")
        payments = self._of_sagas(world.money, "status FROM payments")
        transfers = "(SELECT array_agg(kind ORDER BY id) FROM ledger_transfers WHERE payment_id = payments.id)"
        booked = self._of_sagas(world.money, f"{transfers} FROM payments")
        orders = self._of_sagas(world.carts, "status FROM orders")
        shown = self._of_sagas(world.window, "status FROM sagas")
        return [
            (saga, Became(reservations.get(i), payments.get(i), booked.get(i) or [], orders.get(i), shown.get(i)))
            for i, saga in self.sagas.items()
        ]

    def cart(self, cart_id: UUID) -> tuple[str, UUID | None]:
        """Return a cart's status, and the saga that has it."""
        with self._world.carts.transaction() as connection:
            row = connection.execute(text("SELECT status, saga_id FROM carts WHERE id = :id"), {"id": cart_id}).one()
        return row.status, row.saga_id

    def shelves(self, product_id: int) -> tuple[int, int, int]:
        """Return how many of a product are available, held and sold."""
        return self._world.products.stock(product_id)

    def wallet_minor(self) -> int:
        """Return the wallet's balance."""
        with self._world.money.transaction() as connection:
            return int(money.get_wallet(connection, self.user, CURRENCY).balance_minor)

    def _of_sagas(self, service: Reacting, what: str) -> dict[UUID, Any]:
        question = text(f"SELECT saga_id, {what} WHERE saga_id = ANY(CAST(:ids AS uuid[]))")
        with service.transaction() as connection:
            return {row[0]: row[1] for row in connection.execute(question, {"ids": list(map(str, self.sagas))})}
