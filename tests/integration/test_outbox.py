"""The outbox of one service on a real database: which relay claims an event, until when, and which is notified."""

from collections import Counter

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from shared.database.listen import Listener
from shared.event_bus import CARRITO, PAGOS, Event
from shared.testing import concurrently, wait_until
from shared.topology import dead_queue
from tests.integration.test_not_now import failing
from tests.system.toy_room import Room
from tests.system.toys import Toy, initiated, reserved

LONG, OVER = 600.0, -1.0  # leases that end after the test, and that have ended


@pytest.fixture
def carrito(empty_database_url: str) -> Toy:
    toy = Toy(CARRITO, empty_database_url)
    toy.create()
    return toy


def take(toy: Toy, seconds: float = LONG, limit: int = 1000) -> list[Event]:
    with toy.transaction() as connection:
        return toy.outbox.claim(connection, limit, seconds)


def test_relays_that_take_at_the_same_moment_never_share_an_event(carrito: Toy) -> None:
    staged = carrito.stage(*(initiated() for _ in range(400)))
    taken = concurrently(*[lambda: take(carrito, limit=100)] * 4)
    ids = Counter(event.id for events in [*taken, take(carrito)] for event in events)
    assert ids == Counter(event.id for event in staged)


def test_what_a_relay_has_claimed_is_not_due(carrito: Toy) -> None:
    [staged] = carrito.stage(initiated())
    own = Event(initiated())
    with carrito.transaction() as connection:
        carrito.outbox.stage_own(connection, [own], LONG)
    assert take(carrito) == [staged]
    assert take(carrito) == []


def test_what_a_relay_that_died_had_claimed_is_due_again(carrito: Toy) -> None:
    staged = carrito.stage(initiated())
    assert take(carrito, OVER) == staged
    assert take(carrito, OVER) == staged


def test_what_is_handed_back_is_due_at_once(carrito: Toy) -> None:
    [event, _] = staged = carrito.stage(initiated(), initiated())
    assert take(carrito) == staged
    with carrito.transaction() as connection:
        carrito.outbox.hand_back(connection, [event.id])
    assert take(carrito) == [event]


def test_what_was_sent_is_never_due_again_whoever_releases_it(carrito: Toy) -> None:
    [event] = carrito.stage(initiated())
    with carrito.transaction() as connection:
        carrito.outbox.sent(connection, [event.id])
        carrito.outbox.hand_back(connection, [event.id])
    assert take(carrito) == []
    assert carrito.unpublished() == 0


def test_who_listens_is_woken_by_the_commit(carrito: Toy) -> None:
    listener = Listener(carrito.url, carrito.outbox.channel)
    listener.open()
    with carrito.transaction() as connection:
        carrito.outbox.stage(connection, [Event(initiated())])
        assert listener.wait(0) == []
    assert listener.wait(60) == [""]
    listener.close()


def test_what_follows_from_an_event_whose_transaction_fails_at_its_commit_is_not_published(room: Room) -> None:
    room.run(PAGOS)
    admin = create_engine(room.database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with failing(admin, "pagos.effects", "23514", at_commit=True):
        room.publish(reserved())
        wait_until(lambda: room.queues.depth(dead_queue(PAGOS)) == 1, "it is parked", 60)
    [good] = room.publish(reserved())
    wait_until(lambda: room.counts(PAGOS)[good.saga_id], "what follows from the next is published", 60)
    assert room.counts(PAGOS) == Counter([good.saga_id])
