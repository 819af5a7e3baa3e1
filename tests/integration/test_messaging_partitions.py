"""A service's queue in partitions: a saga's messages come in order, and none is lost when their number changes."""

import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from pika.exceptions import ChannelClosedByBroker

from shared.event_bus import PAGOS, Event, InventoryReserved
from shared.ids import new_id
from shared.testing import wait_until
from shared.topology import Topology, dead_queue, partition_exchange, partition_queue
from tests.system.brokers import Broker, vhost_of
from tests.system.queues import Queues
from tests.system.topology import declare_topology
from tests.system.toy_room import Room, WorkerProcess
from tests.system.toys import reserved

MANY = 60  # sagas: by chance none of four partitions goes without
QUICK = {"TOPOLOGY_SECONDS": "0.2"}


def depths(room: Room, most: int = 4) -> list[int]:
    """How many messages wait in each partition that is there."""

    def depth(number: int) -> int:
        try:
            return room.queues.depth(partition_queue(PAGOS, number))
        except ChannelClosedByBroker:
            return -1

    return [found for found in map(depth, range(1, most + 1)) if found >= 0]


def spawn(room: Room, partitions: int) -> WorkerProcess:
    """A worker with this number, which has made it so: it handles an event."""
    worker = room.spawn(PAGOS, PARTITIONS=str(partitions), **QUICK)
    if partitions > 1:
        last = partition_queue(PAGOS, partitions)
        wait_until(lambda: room.has_queue(last) and room.queues.consumers(last), "it consumes its partitions")
    return worker


def once(events: list[Event]) -> Counter[UUID]:
    return Counter(event.saga_id for event in events)


def handles(room: Room, events: list[Event]) -> None:
    """All of them, once each, and nothing stays anywhere."""
    wait_until(lambda: room[PAGOS].acted() == once(events), f"{len(events)} are handled once", 60)
    room.wait_quiet(PAGOS)
    wait_until(lambda: not any(depths(room)), "no partition has any")


def test_messages_are_spread_over_the_partitions_and_nothing_comes_twice(room: Room) -> None:
    worker = spawn(room, 4)
    first = room.publish(*(reserved() for _ in range(MANY)))
    handles(room, first)
    worker.kill()
    room.publish(*(reserved() for _ in range(MANY)))
    found = depths(room)
    assert (sum(found), len(found)) == (MANY, 4)
    assert min(found) > 0
    assert room.queues.depth(PAGOS) == 0


def test_without_partitions_there_is_the_service_s_queue_and_no_other(room: Room) -> None:
    room.spawn(PAGOS, **QUICK)
    handles(room, room.publish(*(reserved() for _ in range(MANY))))
    assert depths(room) == []


def test_a_node_that_is_alone_has_the_only_replica_whatever_is_wanted(rabbitmq_url: str) -> None:
    for _ in range(2):
        declare_topology(rabbitmq_url, Topology(partitions=2, replicas=3))
    queues = Queues(rabbitmq_url)
    names = (PAGOS, dead_queue(PAGOS), partition_queue(PAGOS, 1), partition_queue(PAGOS, 2))
    assert [queues.depth(name) for name in names] == [0, 0, 0, 0]


def test_a_saga_s_messages_are_handled_in_order_also_when_they_are_redelivered_to_another_worker(room: Room) -> None:
    """The worker is frozen, so that it has a part of them in hand when it is killed."""
    number = itertools.count()
    sagas = [new_id() for _ in range(12)]

    def events(each: int) -> list[Event]:
        """So many of each saga, in turn; the user is the number."""
        return [Event(_said(saga_id, next(number))) for _ in range(each) for saga_id in sagas]

    first = spawn(room, 3)
    published = room.publish(*events(3))
    handles(room, published)
    second, third = spawn(room, 3), spawn(room, 3)
    first.freeze()
    published += room.publish(*events(10))
    wait_until(lambda: not any(depths(room)), "workers have them all")
    first.kill()
    published += room.publish(*events(5))
    handles(room, published)
    second.freeze()
    published += room.publish(*events(10))
    second.kill()
    handles(room, published)
    third.stop()
    for saga_id in sagas:
        users = [int(user) for user in room[PAGOS].acted_for(saga_id)]
        assert users == sorted(users)
        assert len(users) == 28


def _said(saga_id: UUID, number: int) -> InventoryReserved:
    return reserved().model_copy(update={"saga_id": saga_id, "user_id": str(number)})


@pytest.fixture
def bound(room: Room, broker: Broker) -> Callable[[], set[str]]:
    """The service's partitions that are bound."""

    def names() -> set[str]:
        bindings = broker._manage("GET", f"bindings/{vhost_of(room.rabbitmq_url)}").json()
        return {each["destination"] for each in bindings if each["source"] == partition_exchange(PAGOS)}

    return names


def wanted(partitions: int) -> set[str]:
    """The partitions that are bound with so many."""
    return {partition_queue(PAGOS, number) for number in range(1, partitions + 1)} if partitions > 1 else set()


@pytest.mark.parametrize(("before", "after"), [(1, 4), (2, 4), (4, 2), (4, 1)])
def test_the_number_changes_while_messages_wait(
    room: Room, bound: Callable[[], set[str]], before: int, after: int
) -> None:
    old = spawn(room, before)
    events = room.publish(*(reserved() for _ in range(MANY)))
    handles(room, events)
    old.kill()
    events += room.publish(*(reserved() for _ in range(MANY)))
    new = spawn(room, after)
    events += room.publish(*(reserved() for _ in range(MANY)))
    handles(room, events)
    wait_until(lambda: bound() == wanted(after), "only what is wanted is bound")
    new.kill()
    events += room.publish(*(reserved() for _ in range(MANY)))
    assert sum(depths(room)[after:] if after > 1 else depths(room)) == 0, "nothing more goes to former partitions"
    spawn(room, after)
    handles(room, events)


@pytest.mark.parametrize(("old", "new"), [(1, 4), (4, 2)])
def test_a_change_is_taken_back_while_workers_of_both_numbers_run(room: Room, old: int, new: int) -> None:
    """The worker of the former number was there before and is there after, and reads what the other one left."""
    spawn(room, old)
    events = room.publish(*(reserved() for _ in range(MANY)))
    handles(room, events)
    other = spawn(room, new)
    for _ in range(5):
        events += room.publish(*(reserved() for _ in range(MANY)))
    wait_until(partial(_acted, room, events), "all are handled while both run", 60)
    other.freeze()
    events += room.publish(*(reserved() for _ in range(MANY)))
    other.kill()
    handles(room, events)


def _acted(room: Room, events: list[Event]) -> bool:
    return room[PAGOS].acted() == once(events)
