"""What fails where no failure is expected, or is missing at the broker, neither stops a worker nor loses a message."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from shared.database.listen import ShutdownSignal
from shared.event_bus import CARRITO, EXCHANGE, PAGOS
from shared.messaging import consumer, event_worker
from shared.messaging.consumer import DEATHS
from shared.messaging.delivery import Delivery
from shared.rabbitmq import Bus
from shared.testing import concurrently, wait_until
from tests.integration.hostile_messages import DEAD, KEY, SECONDS, events_pass, letters
from tests.system.topology import declare_topology
from tests.system.toy_room import Room, raw
from tests.system.toys import POISON, initiated, reserved


class Said:
    """Records log entries."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, **_: object) -> None:
        self.lines.append(event)

    error = warning


def test_a_message_is_said_to_be_parked_once_it_is(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue of dead letters is missing, so at first it cannot be parked."""
    said = Said()
    monkeypatch.setattr(consumer, "log", said)
    room.run(PAGOS)
    wait_until(lambda: room.queues.consumers(PAGOS), "the worker is there", SECONDS)
    room.delete_queue(DEAD)
    room.queues.publish(KEY, raw(b"?", {}))
    wait_until(lambda: room.has_queue(DEAD) and room.queues.depth(DEAD) == 1, "it is parked", SECONDS)
    room.wait_quiet(PAGOS, SECONDS)
    wait_until(lambda: "message parked" in said.lines, "it is said", SECONDS)
    assert said.lines.index("message not parked yet") < said.lines.index("message parked")
    assert said.lines.count("message parked") == 1


def test_an_error_that_nobody_expects_makes_a_worker_begin_again_and_loses_nothing(room: Room) -> None:
    pagos = room[PAGOS]
    split, failures = pagos.subscription.split, iter(range(2))

    def fail_twice(batch: Any) -> Any:
        if next(failures, None) is not None:
            raise ZeroDivisionError
        return split(batch)

    pagos.subscription = replace(pagos.subscription, split=fail_twice)
    room.run(PAGOS)
    events = room.publish(*(reserved() for _ in range(20)))
    room.wait_acted(PAGOS, events, SECONDS)
    assert next(failures, None) is None
    room.wait_quiet(PAGOS, SECONDS)
    assert room[PAGOS].acted() == room.followed(PAGOS) == Counter(event.saga_id for event in events)


def test_an_error_that_does_not_go_away_ends_the_worker_with_it(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_worker, "MOST_FAILURES", 2)
    pagos = room[PAGOS]

    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    pagos.subscription = replace(pagos.subscription, split=fail)
    room.publish(*(reserved() for _ in range(3)))
    with pytest.raises(ZeroDivisionError):
        concurrently(partial(pagos.run, room.rabbitmq_url, ShutdownSignal()), seconds=SECONDS)


def test_a_message_that_makes_its_worker_fail_each_time_is_parked_alone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a place in the code where no error is expected."""
    pagos = room[PAGOS]
    split, bad = pagos.subscription.split, reserved(POISON)

    def fail_on_it(batch: Sequence[Delivery]) -> Any:
        if any(each.known.saga_id == bad.saga_id for each in batch):
            raise ZeroDivisionError
        return split(batch)

    take = Bus.ack

    def fail_late(bus: Bus, deliveries: list[Delivery]) -> None:
        if any(each.event is not None and each.known.saga_id == bad.saga_id for each in deliveries) and not (
            deliveries[0].given_back >= DEATHS
        ):
            raise ZeroDivisionError
        take(bus, deliveries)

    monkeypatch.setattr(Bus, "ack", fail_late)
    pagos.subscription = replace(pagos.subscription, split=fail_on_it)
    events = room.publish(*(reserved() for _ in range(10)), bad, *(reserved() for _ in range(10)))
    room.run(PAGOS)
    room.wait_acted(PAGOS, [event for event in events if event.saga_id != bad.saga_id], SECONDS)
    (letter,) = letters(room, 1)
    assert letter.saga_id == bad.saga_id


def test_an_exchange_that_is_deleted_while_it_is_declared_ends_no_worker(room: Room) -> None:
    """Somebody deletes it again and again. Events confirmed while one queue is not bound again reach the others."""
    room.run(CARRITO, PAGOS)
    room[CARRITO].stage(initiated())
    for _ in range(40):
        room.delete_exchange(EXCHANGE)
        room[CARRITO].stage(initiated())
    wait_until(lambda: room[CARRITO].unpublished() == 0, "all are published", SECONDS)
    declare_topology(room.rabbitmq_url)
    events_pass(room)
