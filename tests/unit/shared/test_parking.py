"""A parked message can be published, whatever its headers and body."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.event_bus import Event
from shared.messaging.cloud_events import to_message
from shared.messaging.delivery import Delivery
from shared.messaging.parking import SHORT_BYTES, DeadLetter, parked, passed_on, unparked
from tests.system.toys import reserved

FRAME = 131_072 - 4096  # the broker's default limit, less what the broker adds itself
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats()
    | st.text(max_size=50)
    | st.integers(0, 100_000).map(lambda length: "\u20ac" * length)
    | st.binary(max_size=50)
    | st.datetimes(timezones=st.just(UTC))
    | st.decimals()
)
VALUES = st.recursive(SCALARS, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=9)
NAMES = st.sampled_from(["ce-id", "ce-type", "ce-subject", "CC", "BCC", "x-death", "x-tries", "x-letter-id"])
HEADERS = st.dictionaries(NAMES | st.text(max_size=300), VALUES, max_size=9)
KINDS = st.none() | st.text(max_size=300) | st.binary(max_size=300)


def came(headers: dict[str, Any], content_type: Any = None, routing_key: str = "inventory.reserved") -> Delivery:
    return Delivery(1, headers, content_type, b"body", routing_key)


def encoded(message: Any) -> bytes:
    """Return the header frame of a message, as pika encodes it."""
    properties = pika.BasicProperties(
        content_type=message.content_type,
        headers=message.headers,
        message_id=message.id,
        correlation_id=message.saga_id,
        type=message.routing_key,
    )
    return b"".join(properties.encode())


@given(HEADERS, KINDS, st.text(max_size=300), st.text(max_size=3000))
def test_whatever_came_what_is_parked_and_put_back_can_be_published(
    headers: dict[str, Any], content_type: Any, routing_key: str, error: str
) -> None:
    letter = parked(came(headers, content_type, routing_key), ValueError(error), 1)
    assert len(encoded(letter)) < FRAME
    assert letter.body == b"body"
    again = unparked(DeadLetter("pagos.dead", letter.headers, letter.body, letter.content_type))
    assert len(encoded(again)) < FRAME
    assert not [name for name in again.headers if name.startswith("x-") or name in {"CC", "BCC"}]
    assert len(encoded(unparked(DeadLetter("pagos.dead", headers, b"", content_type)))) < FRAME


def test_an_event_that_was_parked_goes_back_as_it_was() -> None:
    sent = to_message(Event(reserved()))
    delivery = Delivery(1, {**sent.headers, "mine": 1}, sent.content_type, sent.body, sent.routing_key)
    letter = parked(delivery, ValueError(), 4)
    back = unparked(DeadLetter("pagos.dead", letter.headers, letter.body, letter.content_type))
    assert (back.headers, back.body, back.content_type) == ({**sent.headers, "mine": 1}, sent.body, sent.content_type)
    assert (back.id, back.saga_id) == (sent.id, sent.saga_id)
    assert "x-original-headers" not in letter.headers


def test_what_has_no_headers_is_redriven_under_the_key_it_first_came_by() -> None:
    letter = parked(came({}, routing_key="payment.processed"), ValueError(), 1)
    again = unparked(DeadLetter("carrito.dead", letter.headers, letter.body, letter.content_type))
    assert (again.routing_key, again.headers) == ("payment.processed", {})


@pytest.mark.parametrize(
    "value", ["a" * 2000, 2**70, 1.5, b"x", None, [1], {"a": 1}, Decimal(1), datetime(2026, 1, 1, tzinfo=UTC)]
)
def test_what_does_not_go_on_is_kept_to_be_seen(value: Any) -> None:
    letter = parked(came({"ce-id": value, "mine": 1}), ValueError("no"), 1)
    assert "ce-id" not in letter.headers
    assert letter.headers["mine"] == 1
    assert repr(value)[:400] in letter.headers["x-original-headers"]


def test_every_letter_has_an_id_of_its_own_and_one_by_which_it_can_be_named() -> None:
    for told in (None, 7, "a" * 300, "", "two words", b"x", "\0"):
        letters = [parked(came({"ce-id": told}), ValueError(), 1) for _ in range(2)]
        assert letters[0].id != letters[1].id
        for each in letters:
            assert DeadLetter("pagos.dead", each.headers, b"").event_id == each.id
    known = parked(came({"ce-id": "17"}), ValueError(), 1)
    assert DeadLetter("pagos.dead", known.headers, b"").event_id == "17" != known.id


def test_what_the_broker_put_among_the_dead_letters_has_a_lasting_id_too() -> None:
    first, again, other = (
        DeadLetter("pagos.dead", {"ce-id": [1], "x-delivery-count": looks}, body)
        for looks, body in ((1, b"a"), (2, b"a"), (1, b"b"))
    )
    assert first.event_id == again.event_id != other.event_id


def test_headers_that_a_broker_would_obey_do_not_go_on() -> None:
    obeyed = {"CC": "pagos", "BCC": "pagos", "x-death": "x", "x-delivery-count": 9}
    assert passed_on({**obeyed, "cc": "fine"}) == {"cc": "fine"}


def test_many_headers_go_on_as_far_as_there_is_room() -> None:
    headers = {f"{number:04}": "a" * 1000 for number in range(100)}
    assert 10 < len(passed_on(headers)) < 20


def test_a_routing_key_that_is_no_text_is_cut_to_fit() -> None:
    assert len(parked(came({}, routing_key="\ufffd" * 255), ValueError(), 1).routing_key.encode()) <= SHORT_BYTES
