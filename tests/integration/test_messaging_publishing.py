"""Publishing the outbox, on a real broker and database."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from pika.exceptions import UnroutableError
from structlog.testing import capture_logs

from shared.event_bus import CARRITO, CHOREOGRAPHY, EXCHANGE, INVENTARIO, PAGOS, Event
from shared.testing import concurrently, wait_until
from tests.system.toy_room import Room
from tests.system.toys import initiated, reserved

LISTENER = """SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'listen {}' AND state = 'idle'"""


def wait_listening(room: Room, service: str) -> int:
    """Wait until a worker is idle, so that it listens; return the pid of its server process."""
    found = wait_until(lambda: room.ask(LISTENER.format(room[service].outbox.channel)), f"{service} listens")
    return int(found)


def test_an_event_is_published_when_its_transaction_commits(room: Room) -> None:
    room.run(CARRITO)
    wait_listening(room, CARRITO)
    wait_until(lambda: room.queues.consumers(CARRITO), "it is connected")
    [event] = room[CARRITO].stage(initiated())
    wait_until(lambda: room.counts(CARRITO), "it is published", seconds=5)
    assert room.published == [event]
    assert room.queues.depth(INVENTARIO) == 1
    room.wait_quiet(CARRITO)


def test_an_event_is_not_published_when_its_transaction_does_not_commit(room: Room) -> None:
    room.run(CARRITO)

    def fail() -> None:
        with room[CARRITO].transaction() as connection:
            room[CARRITO].outbox.stage(connection, [Event(initiated())])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    [event] = room[CARRITO].stage(initiated())
    wait_until(lambda: room.counts(CARRITO), "the other is published")
    assert room.published == [event]


def test_events_that_were_staged_while_no_worker_was_there_are_published_when_one_comes(room: Room) -> None:
    events = [room[CARRITO].stage(initiated())[0] for _ in range(3)]
    room.run(CARRITO)
    wait_until(lambda: room.counts(CARRITO).total() == 3, "they are published")
    assert room.published == events


def test_an_event_is_published_by_another_worker_when_the_lease_of_the_one_that_took_it_is_over(room: Room) -> None:
    event = Event(initiated())
    with room[CARRITO].transaction() as connection:
        room[CARRITO].outbox.stage_own(connection, [event], seconds=0.3)
    room.run(CARRITO)
    wait_until(lambda: room.counts(CARRITO), "it is published")
    assert room.published == [event]


def test_a_worker_whose_notifications_were_cut_off_listens_again(room: Room) -> None:
    room.run(CARRITO)
    first = wait_listening(room, CARRITO)
    room.ask(f"SELECT pg_terminate_backend({first})")
    wait_until(lambda: wait_listening(room, CARRITO) != first, "it listens anew")
    room[CARRITO].stage(initiated())
    wait_until(lambda: room.counts(CARRITO), "it is published", seconds=5)


def test_many_relays_lose_no_event_and_leave_none(room: Room) -> None:
    room.run(CARRITO, CARRITO, CARRITO, CARRITO)
    stagings: list[Callable[[], list[Event]]] = [
        lambda: room[CARRITO].stage(*(initiated() for _ in range(25))) for _ in range(20)
    ]
    staged = {event.id for events in concurrently(*stagings) for event in events}
    wait_until(lambda: len(room.counts(CARRITO)) == 500, "all are published")
    room.wait_quiet(CARRITO)
    assert {event.id for event in room.published} == staged


def test_an_event_that_could_not_be_routed_stays_in_the_outbox_until_it_can(room: Room) -> None:
    """Both of its queues are deleted, while the worker that publishes it stays connected."""
    room.run(PAGOS)
    [first] = room.publish(reserved())
    room.wait_acted(PAGOS, [first])
    room.wait_quiet(PAGOS)
    for queue in (CARRITO, CHOREOGRAPHY):
        room.delete_queue(queue)
    [event] = room.publish(reserved())
    wait_until(lambda: room.has_queue(CHOREOGRAPHY), "the queues are there again")
    wait_until(lambda: room.counts(PAGOS)[event.saga_id], "it is published after all")
    room.wait_quiet(PAGOS)
    assert room.queues.depth(CARRITO) == 1
    assert room[PAGOS].acted() == Counter([first.saga_id, event.saga_id])


def test_a_worker_whose_queue_was_deleted_makes_it_again(room: Room) -> None:
    room.run(PAGOS)
    wait_until(lambda: room.queues.consumers(PAGOS), "it consumes")
    room.delete_queue(PAGOS)
    wait_until(lambda: room.has_queue(PAGOS) and room.queues.consumers(PAGOS), "it consumes again")
    room.wait_acted(PAGOS, room.publish(reserved()))


def test_a_worker_whose_exchange_was_deleted_makes_it_again(room: Room) -> None:
    room.run(CARRITO)
    room[CARRITO].stage(initiated())
    room.wait_quiet(CARRITO)
    room.delete_exchange(EXCHANGE)
    room[CARRITO].stage(initiated())
    wait_until(lambda: len(room.counts(CARRITO)) == 2, "both are published")
    room.wait_quiet(CARRITO)


def test_what_was_confirmed_is_kept_and_can_be_sent_again_as_the_same_events_of_its_saga_only(room: Room) -> None:
    room.run(CARRITO, INVENTARIO)
    [event, other] = room[CARRITO].stage(initiated(), initiated())
    wait_until(lambda: room[INVENTARIO].acted().total() == 2, "both are reacted to")
    room.wait_quiet(CARRITO)
    assert room.counts(CARRITO) == Counter([event.saga_id, other.saga_id])
    with room[CARRITO].transaction() as connection:
        room[CARRITO].outbox.send_again(connection, [event.saga_id])
        assert room[CARRITO].outbox.waiting(connection) == 1
    wait_until(lambda: room.counts(CARRITO)[event.saga_id] == 2, "it is published again")
    room.wait_quiet(CARRITO)
    room.wait_quiet(INVENTARIO)
    assert [each for each in room.published if each.saga_id == event.saga_id and each.id == event.id] == [event] * 2
    assert room.counts(CARRITO)[other.saga_id] == 1
    assert room[INVENTARIO].acted() == Counter([event.saga_id, other.saga_id])


def test_a_worker_makes_its_bindings_again_that_were_removed_while_it_is_connected(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message reports it: nobody publishes, and the broker sends nothing."""
    monkeypatch.setenv("TOPOLOGY_SECONDS", "0.2")
    room.run(PAGOS)
    wait_until(lambda: room.queues.consumers(PAGOS), "it consumes")
    for queue in (CHOREOGRAPHY, PAGOS):
        room.unbind(queue, "inventory.reserved")

    def published() -> list[Event]:
        """Publish; raises unless it reaches a queue."""
        with suppress(UnroutableError):
            return room.publish(reserved())
        return []

    room.wait_acted(PAGOS, wait_until(published, "it is bound again"))


def test_a_worker_whose_own_topology_cannot_be_made_goes_on(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue of dead letters was declared with other arguments: the rest must go on."""
    monkeypatch.setenv("TOPOLOGY_SECONDS", "0.2")
    with capture_logs() as logs:
        room.run(PAGOS)
        wait_until(lambda: room.queues.consumers(PAGOS), "it consumes")
        room.replace_queue(f"{PAGOS}.dead")
        wait_until(lambda: [log for log in logs if log["event"] == "topology not declared"], "it is noticed")
        room.wait_acted(PAGOS, room.publish(reserved()))
