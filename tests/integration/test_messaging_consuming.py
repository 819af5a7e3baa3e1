"""Consuming events, on a real broker and database."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from shared.event_bus import CARRITO, INVENTARIO, PAGOS, Event, OrderCreated
from shared.ids import new_id
from shared.messaging.cloud_events import to_message
from shared.messaging.consumer import TRIES
from shared.messaging.parking import DeadLetter
from shared.rabbitmq import browse, move
from shared.testing import wait_until
from shared.topology import dead_queue
from tests.system.amqp_wire import breaking_at_publish
from tests.system.toy_room import Room, raw
from tests.system.toys import POISON, REFUSED, initiated, reserved

DEAD = dead_queue(PAGOS)
SECONDS = 120.0  # only keeps a test from hanging


def dead_letters(room: Room, count: int) -> list[DeadLetter]:
    """Wait for so many dead letters, and return them; a busy broker may not answer in time at first."""

    def found() -> list[DeadLetter]:
        with suppress(ConnectionError):
            return browse(room.rabbitmq_url, DEAD, 100)
        return []

    wait_until(lambda: room.queues.depth(DEAD) >= count, f"{count} dead letters", SECONDS)
    return wait_until(lambda: letters if len(letters := found()) >= count else [], f"{count} dead letters", SECONDS)


def test_an_event_is_reacted_to_once_however_often_it_comes(room: Room) -> None:
    events = [Event(reserved()) for _ in range(20)]
    copies = events * 3
    random.Random(1).shuffle(copies)
    room.publish(*copies)
    room.run(PAGOS)
    room.wait_acted(PAGOS, events)
    room.publish(*events)
    last = room.publish(reserved())
    room.wait_acted(PAGOS, last)
    room.wait_quiet(PAGOS)
    once = Counter(event.saga_id for event in events + last)
    assert room[PAGOS].acted() == once
    assert room.followed(PAGOS) == once


def test_what_waits_for_more_is_dealt_with_although_no_more_come(room: Room) -> None:
    pagos = room[PAGOS]
    pagos.subscription = replace(pagos.subscription, closes=lambda _: False)
    room.run(PAGOS)
    for _ in range(2):
        room.wait_acted(PAGOS, room.publish(reserved(), reserved()))


def test_what_follows_names_its_cause_and_carries_the_trace_on(room: Room) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    [event] = room.publish(Event(reserved(), trace=trace))
    room.run(PAGOS)
    wait_until(lambda: room.counts(PAGOS), "it is published")
    [followed] = [each for each in room.published if each.event_type.publisher == PAGOS]
    assert (followed.cause, followed.trace, followed.saga_id) == (event.id, trace, event.saga_id)


def test_events_of_a_saga_are_reacted_to_in_whatever_order_they_come(room: Room) -> None:
    checkouts = [initiated() for _ in range(20)]
    orders = [
        OrderCreated(saga_id=each.saga_id, cart_id=each.cart_id, order_id=each.order_id, payment_id=each.payment_id)
        for each in checkouts
    ]
    mixed = [*checkouts, *orders]
    random.Random(2).shuffle(mixed)
    events = room.publish(*mixed)
    room.run(INVENTARIO)
    wait_until(lambda: room[INVENTARIO].acted().total() == len(events), "all are reacted to")
    room.wait_quiet(INVENTARIO)
    twice = Counter({each.saga_id: 2 for each in checkouts})
    assert room[INVENTARIO].acted() == twice
    assert room.followed(INVENTARIO) == twice


@pytest.mark.parametrize("how", [POISON, REFUSED])
def test_a_message_that_fails_is_parked_with_the_reason_and_takes_no_other_with_it(room: Room, how: str) -> None:
    """Also a raised refusal: elsewhere it is stored by committing, which would lose the event here."""
    before, bad, after = ([reserved() for _ in range(10)], reserved(how), [reserved() for _ in range(10)])
    events = room.publish(*before, bad, *after)
    room.run(PAGOS)
    room.wait_acted(PAGOS, [event for event in events if event.saga_id != bad.saga_id], SECONDS)
    [letter] = dead_letters(room, 1)
    assert letter.headers["ce-subject"] == str(bad.saga_id)
    assert letter.headers["x-error"] == ("ValueError: poison" if how == POISON else "Refusal: no")
    assert letter.headers["x-tries"] == TRIES
    assert letter.headers["x-routing-key"] == "inventory.reserved"
    assert letter.headers["x-parked-at"].endswith("+00:00")
    room.wait_quiet(PAGOS, SECONDS)
    assert room[PAGOS].acted() == Counter(each.saga_id for each in [*before, *after])
    assert room.followed(PAGOS) == room[PAGOS].acted()


def _message_of(**changes: Any) -> tuple[dict[str, object], bytes]:
    sent = to_message(Event(reserved()))
    headers = {**sent.headers, **{f"ce-{name}": value for name, value in changes.items()}}
    return {name: value for name, value in headers.items() if value is not None}, sent.body


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({}, b"{}", "Headers: ce-specversion: Field required"),
        ({}, b"\xff\x00", "Headers: ce-specversion: Field required"),
        (*_message_of(id=None), "Headers: ce-id: Field required"),
        (*_message_of(id="17"), "Headers: ce-id: Input should be a valid UUID"),
        (*_message_of(time="yesterday"), "Headers: ce-time: Input should be a valid datetime"),
        (*_message_of(type="inventory.stolen"), "unknown event type inventory.stolen"),
        (*_message_of(dataschema="urn:checkout:inventory.reserved:2"), "is not urn:checkout:inventory.reserved:1"),
        (*_message_of(causationid="17"), "Headers: ce-causationid: Input should be a valid UUID"),
        (_message_of()[0], b"{}", "InventoryReserved: saga_id: Field required"),
        (_message_of()[0], b"{", "InventoryReserved: body: Invalid JSON"),
    ],
    ids=["bare", "binary", "no-id", "other-id", "time", "type", "version", "cause", "fields", "json"],
)
def test_a_message_that_is_no_event_of_the_contract_is_parked_at_once(
    room: Room, headers: dict[str, Any], body: bytes, reason: str
) -> None:
    room.queues.publish("inventory.reserved", raw(body, {**headers, "mine": 1}))
    [good] = room.publish(reserved())
    room.run(PAGOS)
    [letter] = dead_letters(room, 1)
    assert letter.headers["x-tries"] == 1
    assert reason in letter.headers["x-error"]
    assert letter.headers["x-routing-key"] == "inventory.reserved"
    assert letter.headers["mine"] == 1
    assert letter.body == body
    room.wait_acted(PAGOS, [good])


def test_fields_that_are_not_known_are_no_reason_to_refuse_an_event(room: Room) -> None:
    sent = to_message(Event(reserved()))
    body = sent.body[:-1] + b',"gift_wrap":true}'
    room.queues.publish("inventory.reserved", raw(body, {**sent.headers, "ce-newattribute": "x"}))
    room.run(PAGOS)
    wait_until(lambda: room[PAGOS].acted().total() == 1, "it is reacted to")


def test_a_trace_that_is_none_is_not_carried_on(room: Room) -> None:
    """It would be too long for the outbox, and the event would be parked for something unneeded."""
    headers, body = _message_of(traceparent="x" * 500)
    room.queues.publish("inventory.reserved", raw(body, headers))
    room.run(PAGOS)
    wait_until(lambda: room.counts(PAGOS).total() == 1, "it is reacted to")
    assert [each.trace for each in room.published if each.event_type.publisher == PAGOS] == [None]


def test_workers_side_by_side_share_the_messages_and_each_acts_once(room: Room) -> None:
    events = room.publish(*[reserved() for _ in range(500)])
    room.run(PAGOS, PAGOS)
    room.publish(*events[:100])
    room.wait_acted(PAGOS, events)
    room.wait_quiet(PAGOS)
    once = Counter(event.saga_id for event in events)
    assert room[PAGOS].acted() == once
    assert room.followed(PAGOS) == once


def test_a_parked_message_is_dealt_with_when_it_is_put_back_after_its_cause_is_gone(room: Room) -> None:
    bad, other = room.publish(reserved(POISON), reserved(POISON))
    room.run(PAGOS)
    letters = dead_letters(room, 2)
    assert {letter.headers["ce-id"] for letter in letters} == {str(bad.id), str(other.id)}
    room[PAGOS].cured = True
    moved = move(room.rabbitmq_url, DEAD, PAGOS, 100, lambda letter: letter.headers["ce-subject"] == str(bad.saga_id))
    assert [letter.headers["ce-id"] for letter in moved] == [str(bad.id)]
    room.wait_acted(PAGOS, [bad])
    [left] = browse(room.rabbitmq_url, DEAD, 100)
    assert left.headers["ce-id"] == str(other.id)
    room.wait_quiet(PAGOS)
    assert room[PAGOS].acted() == Counter([bad.saga_id])


def test_a_dead_letter_leaves_its_queue_only_when_the_other_one_has_it(room: Room) -> None:
    """The connection ends during the publication: the message is acknowledged by then, or it is not."""
    room.queues.publish(DEAD, raw(b"x", {"a": 1}), exchange="")
    with breaking_at_publish(room.rabbitmq_url) as url, pytest.raises(ConnectionError):
        move(url, DEAD, PAGOS, 10, lambda _: True)
    wait_until(lambda: room.queues.depth(DEAD) == 1, "it is still there", SECONDS)
    assert room.queues.depth(PAGOS) == 0


def test_messages_put_back_are_told_apart_by_what_they_say(room: Room) -> None:
    """Their routing key is the name of the queue, and not their type."""
    room.run(INVENTARIO)
    checkout = initiated()
    order = OrderCreated(saga_id=new_id(), cart_id=new_id(), order_id=new_id(), payment_id=new_id())
    with room[INVENTARIO].transaction() as lock:
        lock.execute(text("LOCK inventario.inbox"))  # until both have arrived
        for event in (Event(checkout), Event(order)):
            sent = to_message(event)
            room.queues.publish(INVENTARIO, raw(sent.body, sent.headers), exchange="")
        wait_until(lambda: room.queues.depth(INVENTARIO) == 0, "the worker has them")
    wait_until(lambda: room[INVENTARIO].acted().total() == 2, "both are reacted to")
    wait_until(lambda: room.counts(INVENTARIO).total() == 2, "both are answered")
    assert {each.event_type.name for each in room.published} == {"inventory.reserved", "inventory.committed"}


def test_dead_letters_can_be_looked_at_any_number_of_times(room: Room) -> None:
    """A broker that counts readings as deliveries would drop a message after twenty."""
    room.queues.publish(DEAD, raw(b"x", {"a": 1}), exchange="")
    for _ in range(30):
        [letter] = browse(room.rabbitmq_url, DEAD, 10)
    assert letter.body == b"x"


def test_a_queue_that_is_not_there_has_no_letters(room: Room) -> None:
    with pytest.raises(LookupError):
        browse(room.rabbitmq_url, "nowhere", 10)
    room.queues.publish(DEAD, raw(b"x", {}), exchange="")
    with pytest.raises(LookupError):
        move(room.rabbitmq_url, DEAD, "nowhere", 10, lambda _: True)
    assert room.queues.depth(DEAD) == 1
    with pytest.raises(ConnectionError):
        browse("amqp://guest:guest@127.0.0.1:1/", DEAD, 10)


def test_a_whole_saga_runs_with_nobody_in_charge(room: Room) -> None:
    room.run(CARRITO, INVENTARIO, PAGOS)
    [start] = room[CARRITO].stage(initiated())
    wait_until(
        lambda: room.counts(CARRITO) and [e for e in room.published if e.event_type.name == "checkout.completed"],
        "it ends",
    )
    names = [each.event_type.name for each in sorted(room.published, key=lambda each: each.id)]
    assert names == [
        "checkout.initiated",
        "inventory.reserved",
        "payment.processed",
        "order.created",
        "inventory.committed",
        "checkout.completed",
    ]
    assert {each.saga_id for each in room.published} == {start.saga_id}
