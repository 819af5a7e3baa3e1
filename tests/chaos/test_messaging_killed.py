"""Workers die during their work: messages that they had not acknowledged are handled once, and none is lost."""

from collections import Counter
from functools import partial

import pytest
from sqlalchemy import text

from shared.event_bus import CARRITO, PAGOS, Event
from shared.messaging.consumer import DEATHS
from shared.messaging.subscription import BATCHES
from shared.rabbitmq import browse
from shared.testing import wait_until
from shared.topology import dead_queue
from tests.system.toy_room import Room, WorkerProcess
from tests.system.toys import FATAL, reserved

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pagos.effects'::regclass"
DEAD = dead_queue(PAGOS)


def once(events: list[Event]) -> Counter[object]:
    return Counter(event.saga_id for event in events)


@pytest.mark.parametrize("point", ["before_commit", "before_ack"])
def test_deliveries_of_a_killed_consumer_take_effect_once(room: Room, point: str) -> None:
    """Killed before its commit, nothing has happened. After it, its events are delivered again.

    What follows from them is in the outbox.
    """
    events = room.publish(*(reserved() for _ in range(30)))
    killed = room.spawn(PAGOS, FAULT_KILL_AT=f"pagos.worker.{point}")
    killed.wait_dead()
    assert bool(room[PAGOS].acted()) == (point == "before_ack")
    room.run(PAGOS)
    room.wait_acted(PAGOS, events)
    room.wait_quiet(PAGOS)
    assert room[PAGOS].acted() == once(events)
    assert room.followed(PAGOS) == once(events)


def test_what_a_killed_relay_has_published_without_noting_it_is_published_again_and_acts_once(room: Room) -> None:
    events = room.publish(*(reserved() for _ in range(30)))
    killed = room.spawn(PAGOS, FAULT_KILL_AT="pagos.worker.before_marking#10")
    killed.wait_dead()
    assert room.counts(PAGOS)
    room.run(PAGOS, CARRITO)
    room.wait_acted(PAGOS, events)
    room.wait_acted(CARRITO, events)
    room.wait_quiet(PAGOS)
    room.wait_quiet(CARRITO)
    published = room.counts(PAGOS)
    assert published.keys() == once(events).keys()
    assert published.total() > len(events)
    assert room[PAGOS].acted() == room[CARRITO].acted() == once(events)


def test_a_message_that_kills_its_consumer_each_time_becomes_a_dead_letter_and_takes_none_with_it(room: Room) -> None:
    """Messages delivered with it are delivered again, but not as often."""
    before, fatal, after = ([reserved() for _ in range(20)], reserved(FATAL), [reserved() for _ in range(20)])
    events = room.publish(*before, fatal, *after)

    def dead(worker: WorkerProcess) -> bool:
        return worker.status is not None or room.queues.depth(DEAD) > 0

    lives = 0
    while room.queues.depth(DEAD) == 0:
        worker = room.spawn(PAGOS)
        wait_until(partial(dead, worker), "it dies, or the message does")
        lives += 1
    assert lives <= DEATHS + 1
    room.run(PAGOS)
    good = [event for event in events if event.saga_id != fatal.saga_id]
    room.wait_acted(PAGOS, good)
    room.wait_quiet(PAGOS)
    assert room[PAGOS].acted() == once(good)
    [letter] = browse(room.rabbitmq_url, DEAD, 10)
    assert letter.headers["ce-subject"] == str(fatal.saga_id)
    assert letter.headers["x-error"] == f"PoisonMessage: {DEATHS} consumers ended while they handled it"
    assert letter.headers["x-tries"] == DEATHS


def test_a_worker_that_is_told_to_stop_in_the_middle_of_its_work_does_so_within_seconds(room: Room) -> None:
    """The message that it handles is completed and its events are published; the others return to the queue."""
    events = room.publish(*(reserved() for _ in range(500)))
    with room[PAGOS].transaction() as lock:
        lock.execute(text("LOCK pagos.effects IN EXCLUSIVE MODE"))
        worker = room.spawn(PAGOS)
        wait_until(lambda: room.ask(WAITING), "its transaction waits for us")
        worker.stop()
    assert worker.wait_dead(seconds=60) == 0
    done = room[PAGOS].acted()
    assert BATCHES.max_size is not None
    assert 0 < done.total() <= BATCHES.max_size
    assert room[PAGOS].unpublished() == 0
    assert room.followed(PAGOS) == done
    room.run(PAGOS)
    room.wait_acted(PAGOS, events)
    room.wait_quiet(PAGOS)
    assert room[PAGOS].acted() == room.followed(PAGOS) == once(events)
