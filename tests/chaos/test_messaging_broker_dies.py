"""A broker that is killed, stopped, frozen or full keeps what it confirmed; the rest is published again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from shared import rabbitmq
from shared.event_bus import CARRITO, INVENTARIO, PAGOS, Event
from shared.testing import wait_until
from tests.system.brokers import OwnBroker
from tests.system.toy_room import Room
from tests.system.toys import initiated, reserved

CONNECTED = ("connected to the broker", CARRITO)


@pytest.fixture
def rabbitmq_url(own_rabbitmq: OwnBroker) -> Iterator[str]:
    """The URL of a virtual host on this module's own broker."""
    url = own_rabbitmq.create()
    yield url
    own_rabbitmq.drop(url)


def times(events: list[Event], number: int) -> Counter[UUID]:
    return Counter({event.saga_id: number for event in events})


def wait_ended(room: Room, events: list[Event]) -> None:
    """Wait until all checkouts have passed every service, and check that each reaction happened once."""
    wait_until(lambda: room[CARRITO].acted() == times(events, 2), f"{len(events)} checkouts end", 60)
    for service, reactions in ((CARRITO, 2), (INVENTARIO, 2), (PAGOS, 1)):
        room.wait_quiet(service)
        assert room[service].acted() == times(events, reactions)


def test_checkouts_survive_a_broker_that_is_killed_under_load(room: Room, own_rabbitmq: OwnBroker) -> None:
    room.run(CARRITO, INVENTARIO, PAGOS)
    events = [event for _ in range(5) for event in room[CARRITO].stage(*(initiated() for _ in range(20)))]
    wait_until(room[PAGOS].acted, "they are on their way")
    own_rabbitmq.kill()
    events += [event for _ in range(5) for event in room[CARRITO].stage(*(initiated() for _ in range(20)))]
    own_rabbitmq.start()
    wait_ended(room, events)


def test_what_was_confirmed_is_there_after_the_broker_was_killed(room: Room, own_rabbitmq: OwnBroker) -> None:
    events = room.publish(*(reserved() for _ in range(100)))
    own_rabbitmq.kill()
    own_rabbitmq.start()
    assert room.counts(INVENTARIO) == times(events, 1)
    room.run(PAGOS)
    wait_until(lambda: room[PAGOS].acted() == times(events, 1), "all are reacted to", 60)
    room.wait_quiet(PAGOS)
    assert room.counts(PAGOS) == times(events, 1)


def test_a_broker_may_be_away_when_a_worker_starts_and_when_a_checkout_does(
    room: Room, own_rabbitmq: OwnBroker
) -> None:
    own_rabbitmq.stop()
    room.run(CARRITO, INVENTARIO, PAGOS)
    events = room[CARRITO].stage(*(initiated() for _ in range(10)))
    own_rabbitmq.start()
    wait_ended(room, events)


def test_workers_go_on_after_a_broker_was_restarted_and_made_anew(room: Room, own_rabbitmq: OwnBroker) -> None:
    """The new broker is empty, without queues: the topology is declared before anything else."""
    room.run(CARRITO, INVENTARIO, PAGOS)
    first = room[CARRITO].stage(initiated())
    wait_ended(room, first)
    own_rabbitmq.drop(room.rabbitmq_url)
    second = room[CARRITO].stage(initiated())
    own_rabbitmq.restore(room.rabbitmq_url)
    wait_ended(room, [*first, *second])


def test_a_worker_ends_though_the_broker_is_away(room: Room, own_rabbitmq: OwnBroker) -> None:
    [worker] = room.run(CARRITO)
    wait_until(lambda: room.queues.consumers(CARRITO), "it is connected")
    own_rabbitmq.stop()
    worker.stop(seconds=5)
    [other] = room.run(CARRITO)
    other.stop(seconds=5)
    own_rabbitmq.start()


def test_a_frozen_broker_holds_workers_up_and_no_more(room: Room, own_rabbitmq: OwnBroker) -> None:
    stopping = room.spawn(CARRITO)
    room.run(CARRITO, INVENTARIO, PAGOS)
    first = room[CARRITO].stage(initiated())
    wait_ended(room, first)
    with own_rabbitmq.frozen():
        second = room[CARRITO].stage(*(initiated() for _ in range(10)))
        stopping.stop()
        assert stopping.wait_dead(60) == 0
    wait_ended(room, first + second)


@contextmanager
def _full(broker: OwnBroker) -> Iterator[None]:
    """Raise the broker's alarm for the block, so that it accepts no messages."""
    broker.control("set_vm_memory_high_watermark", "0")
    try:
        yield
    finally:
        broker.control("set_vm_memory_high_watermark", "0.4")


def test_a_broker_that_is_full_takes_what_waited_when_it_has_room_again(room: Room, own_rabbitmq: OwnBroker) -> None:
    room.run(CARRITO, INVENTARIO, PAGOS)
    first = room[CARRITO].stage(initiated())
    wait_ended(room, first)
    with _full(own_rabbitmq):
        second = [event for _ in range(10) for event in room[CARRITO].stage(initiated())]
    wait_ended(room, first + second)


def test_a_worker_that_is_blocked_for_too_long_connects_anew(
    room: Room, own_rabbitmq: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq, "BLOCKED_SECONDS", 0.5)
    with _full(own_rabbitmq), capture_logs() as logs:
        room.run(CARRITO, INVENTARIO, PAGOS)
        events = room[CARRITO].stage(initiated())
        wait_until(
            lambda: [(log["event"], log.get("queue")) for log in logs].count(CONNECTED) > 2,
            "it has connected a few times",
        )
    wait_ended(room, events)
