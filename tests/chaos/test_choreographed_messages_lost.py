"""A confirmed message is lost, wherever a saga waits for one, or a step is compensated by hand; every saga ends.

Either all of it is done, or nothing.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pika
import pytest
from sqlalchemy import create_engine, text

from shared.event_bus import CONTRACT, EXCHANGE
from shared.testing import wait_until
from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    COMPLETED,
    DECLINED,
    HANG_SECONDS,
    INVENTARIO,
    PAGOS,
    QUICK,
    SOLD_OUT,
    UNDONE,
    Became,
    Shop,
)
from tests.system.queues import Queues

WORKERS = ("carrito-worker", "inventario-worker", "pagos-worker", "saga_choreography-worker")
# Short times, and a deadline too long to turn back a saga that waits.
TIMES = {"TOPOLOGY_SECONDS": "0.5", "RESEND_SECONDS": "0.5", "STUCK_SECONDS": "60", "FORWARD_DEADLINE_SECONDS": "600"}
BY = {"by": "eve", "reason": "somebody removed a binding"}
TRIES = 5  # the worker may restore its binding just before the message, which then arrives

RECEIVED = {
    **{service: f"SELECT 1 FROM {service}.inbox WHERE event_id = :id" for service in (CARRITO, INVENTARIO, PAGOS)},
    CHOREOGRAPHY: f"SELECT 1 FROM {CHOREOGRAPHY}.events WHERE id = :id",
}


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    processes = (CARRITO, INVENTARIO, PAGOS, CHOREOGRAPHY, *WORKERS)
    return {"rabbitmq_url": broker_url, "processes": processes, "env": {**QUICK, **TIMES}}


# The request during which a message is lost, and the saga's result.


def bought(shop: Shop) -> str:
    return shop.buy(shop.product(), style=CHOREOGRAPHED)


def declined(shop: Shop) -> str:
    return shop.buy(shop.product(), method="declined_card", style=CHOREOGRAPHED)


def sold_out(shop: Shop) -> str:
    shelf = shop.product(quantity=1)
    carts = [shop.cart((shelf, 1)) for _ in range(2)]
    first = shop.begin(carts[0], style=CHOREOGRAPHED)
    assert shop.became(first) == COMPLETED
    return shop.begin(carts[1], style=CHOREOGRAPHED)


class Arrow(NamedTuple):
    """An event on its way to a service, in a saga with this history; a completed saga if it is to be compensated."""

    event: str
    to: str
    begin: Callable[[Shop], str] = bought
    undo: bool = False
    becomes: Became = COMPLETED

    @property
    def name(self) -> str:
        return f"{self.event} to {self.to}{' (undone)' * self.undo}"


ARROWS = [
    Arrow("checkout.initiated", INVENTARIO),
    Arrow("inventory.reserved", PAGOS),
    Arrow("payment.processed", CARRITO),
    Arrow("order.created", INVENTARIO),
    Arrow("inventory.committed", CARRITO),
    Arrow("checkout.completed", CHOREOGRAPHY),
    Arrow("inventory.reserve.failed", CARRITO, sold_out, becomes=SOLD_OUT),
    Arrow("payment.failed", INVENTARIO, declined, becomes=DECLINED),
    Arrow("inventory.released", CARRITO, declined, becomes=DECLINED),
    Arrow("checkout.failed", CHOREOGRAPHY, declined, becomes=DECLINED),
    Arrow("checkout.cancel.requested", INVENTARIO, undo=True, becomes=UNDONE),
    Arrow("inventory.commit.failed", CARRITO, undo=True, becomes=UNDONE),
    Arrow("order.cancelled", PAGOS, undo=True, becomes=UNDONE),
    Arrow("payment.refunded", INVENTARIO, undo=True, becomes=UNDONE),
    Arrow("inventory.released", CARRITO, undo=True, becomes=UNDONE),
    Arrow("checkout.failed", CHOREOGRAPHY, undo=True, becomes=UNDONE),
]


class Lost:
    """Messages lost in one shop."""

    def __init__(self, shop: Shop, url: str) -> None:
        self._shop, self._url = shop, url

    @contextmanager
    def missing(self, arrow: Arrow) -> Iterator[None]:
        """Remove the binding for the block, and again whenever the service's worker restores it."""
        over = threading.Event()

        def remove() -> None:
            with self.channel() as channel:
                while not over.wait(0.002):
                    channel.queue_unbind(arrow.to, EXCHANGE, arrow.event)

        with self.channel() as channel:
            channel.queue_unbind(arrow.to, EXCHANGE, arrow.event)
        thread = threading.Thread(target=remove)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    def channel(self) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def sent(self, saga_id: str, name: str) -> Any:
        """Return the id of an event that the broker confirmed; None before that."""
        publisher = CONTRACT[name].publisher
        those = "saga_id = :saga_id AND type = :type AND sent_at IS NOT NULL"
        return self._ask(f"SELECT id FROM {publisher}.outbox WHERE {those}", saga_id=saga_id, type=name)

    def wait_sent(self, saga_id: str, name: str) -> Any:
        """Wait for the event's confirm; return its id."""
        return wait_until(lambda: self.sent(saga_id, name), f"{name} is sent", HANG_SECONDS)

    def arrived(self, event_id: str, service: str) -> bool:
        """Whether a service has received the event."""
        return bool(self._ask(RECEIVED[service], id=event_id))

    def lose(self, arrow: Arrow) -> str:
        """Return a saga of which a message was lost at this arrow."""
        for _ in range(TRIES):
            saga_id = ""
            if arrow.undo:
                saga_id = arrow.begin(self._shop)
                assert self._shop.became(saga_id) == COMPLETED
            with self.missing(arrow):
                if arrow.undo:
                    assert self._shop.compensate(saga_id).status == 202
                else:
                    saga_id = arrow.begin(self._shop)
                arrived = self.arrived(self.wait_sent(saga_id, arrow.event), arrow.to)
            if not arrived:
                return saga_id
            assert self._shop.became(saga_id) == arrow.becomes
        raise AssertionError("no message could be lost")

    def _ask(self, question: str, **values: Any) -> Any:
        engine = create_engine(self._shop.database_url)
        with engine.connect() as connection:
            found = connection.scalar(text(question), values)
        engine.dispose()
        return found


@pytest.fixture
def lost(shop: Shop, shop_settings: dict[str, Any]) -> Lost:
    """Lose messages in this shop. A tap gets every event, since one that reaches no queue would not be confirmed."""
    Queues(shop_settings["rabbitmq_url"]).tap("everything")
    return Lost(shop, shop_settings["rabbitmq_url"])


@pytest.mark.parametrize("arrow", ARROWS, ids=lambda arrow: arrow.name)
def test_a_saga_one_message_of_which_was_lost_ends_by_itself(shop: Shop, lost: Lost, arrow: Arrow) -> None:
    saga_id = lost.lose(arrow)
    assert shop.became(saga_id) == arrow.becomes
    assert {entry["by"] for entry in shop.timeline(saga_id, kind="retry_requested")} == {"watchdog"}


@pytest.mark.parametrize("number", [1, 6, 12, 14], ids=lambda number: ARROWS[number].name)
def test_it_ends_when_an_operator_has_its_events_sent_again(shop: Shop, lost: Lost, number: int) -> None:
    """No watchdog does so before, and none is needed. Repeating it does no harm."""
    arrow = ARROWS[number]
    shop.restart("saga_choreography-worker", RESEND_SECONDS="600", STUCK_SECONDS="600")
    saga_id = lost.lose(arrow)
    path = f"/saga/choreography/{saga_id}/retry"

    def ended() -> bool:
        """Send the events again until the worker has restored its binding, and the saga has ended."""
        assert shop.post(CHOREOGRAPHY, path, BY).status in {202, 409}
        return shop.saga(saga_id)["status"] in {"completed", "compensated"}

    assert shop.saga(saga_id)["status"] not in {"completed", "compensated"}
    wait_until(ended, "it ends", HANG_SECONDS)
    assert shop.became(saga_id) == arrow.becomes
    assert {(entry["by"], entry["reason"]) for entry in shop.timeline(saga_id, kind="retry_requested")} == {
        ("eve", BY["reason"])
    }


@pytest.mark.parametrize("what", ["queue_delete", "queue_purge"])
def test_a_checkout_ends_that_nobody_knew_of_when_its_first_event_was_lost(shop: Shop, lost: Lost, what: str) -> None:
    """saga_choreography is away when carrito accepts it, and both copies of the event are lost."""
    cart = shop.cart((shop.product(), 1))
    away = ("inventario-worker", CHOREOGRAPHY, f"{CHOREOGRAPHY}-worker")
    for name in away:
        shop.system.kill(name)
    saga_id = shop.begin(cart, style=CHOREOGRAPHED)
    lost.wait_sent(saga_id, "checkout.initiated")
    with lost.channel() as channel:
        for queue in (INVENTARIO, CHOREOGRAPHY):
            getattr(channel, what)(queue)
    for name in away:
        shop.restart(name)
    assert shop.became(saga_id) == COMPLETED
    assert len(shop.timeline(saga_id, event="checkout.initiated")) == 1


@pytest.mark.parametrize("what", ["queue_delete", "queue_purge"])
def test_what_was_in_a_queue_that_somebody_emptied_is_sent_again(shop: Shop, lost: Lost, what: str) -> None:
    shelf = shop.product()
    undone = shop.buy(shelf, style=CHOREOGRAPHED)
    assert shop.became(undone) == COMPLETED
    shop.system.kill("pagos-worker")
    begun = shop.buy(shelf, style=CHOREOGRAPHED)
    shop.compensate(undone)
    for saga_id, name in ((begun, "inventory.reserved"), (undone, "order.cancelled")):
        lost.wait_sent(saga_id, name)
    with lost.channel() as channel:
        getattr(channel, what)("pagos")
    shop.restart("pagos-worker")
    assert (shop.became(begun), shop.became(undone)) == (COMPLETED, UNDONE)


def refund(saga: Any) -> tuple[str, str, dict[str, str]]:
    return PAGOS, f"/api/v1/payments/saga/{saga['payment_id']}/refund", {"saga_id": saga["saga_id"]}


def unreserve(saga: Any) -> tuple[str, str, dict[str, str]]:
    return INVENTARIO, "/api/products/unreserve", {"saga_id": saga["saga_id"], "cart_id": saga["cart_id"]}


@pytest.mark.parametrize("by_hand", [[refund], [unreserve], [unreserve, refund]])
def test_a_saga_that_is_undone_in_part_by_hand_as_it_turns_back_is_undone_in_full(
    shop: Shop, by_hand: Sequence[Callable[[Any], tuple[str, str, dict[str, str]]]]
) -> None:
    """A service that finds its step compensated publishes the next event."""
    shelf = shop.product(quantity=5)
    saga_id = shop.buy(shelf, style=CHOREOGRAPHED)
    assert shop.became(saga_id) == COMPLETED
    shop.system.kill("pagos-worker")
    assert shop.compensate(saga_id).status == 202
    standing = f"/checkouts/{saga_id}/standing"
    wait_until(lambda: not shop.get(CARRITO, standing).body["stands"], "the order is cancelled", HANG_SECONDS)
    for part in by_hand:
        reply = shop.post(*part(shop.saga(saga_id)))
        assert reply.status == 200, reply.body
    shop.restart("pagos-worker")
    assert shop.became(saga_id) == UNDONE
    assert shop.stock(shelf) == (5, 0, 0)
