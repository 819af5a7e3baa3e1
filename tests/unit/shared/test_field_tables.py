"""Decoding field tables with any contents."""

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika.data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.field_tables import MOST_DEPTH, UNDECODED, decode_table
from tests.system.raw_amqp import long, short, string, table


def decoded(inside: bytes) -> dict[str, Any]:
    """Decode a table that is surrounded by other bytes, to check that only the table is read."""
    found, end = decode_table(b"--" + long(inside) + b"after", 2)
    assert end == 2 + 4 + len(inside)
    return found


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"T" + struct.pack(">Q", 1_772_000_000), datetime.fromtimestamp(1_772_000_000, UTC)),
        (b"T" + struct.pack(">Q", 1_772_000_000_000), 1_772_000_000_000),
        (b"T" + b"\xff" * 8, 2**64 - 1),
        (b"t\x01", True),
        (b"b\xff", -1),
        (b"s\xff\xfe", -2),
        (b"I\xff\xff\xff\xff", -1),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"l" + b"\xff" * 8, -1),
        (b"d" + struct.pack(">d", 1.5), 1.5),
        (b"D\x02" + struct.pack(">i", 1234), Decimal("12.34")),
        (b"D\xff" + struct.pack(">i", -1), Decimal("-1e-255")),
        (b"V", None),
        (string("caf\u00e9"), "caf\u00e9"),
        (string(b"\xff\xfe"), b"\xff\xfe"),
        (b"x" + long("abc"), b"abc"),
        (b"A" + long(string("a") + b"t\x00"), ["a", False]),
        (b"F" + long(table({"a": b"V"})), {"a": None}),
    ],
)
def test_every_type_is_read_and_what_python_cannot_represent_in_its_raw_form(value: bytes, read: Any) -> None:
    found = decoded(table({"it": value, "last": string("x")}))
    assert found == {"it": read, "last": "x"}
    assert type(found["it"]) is type(read)


@pytest.mark.parametrize("value", [b"f" + struct.pack(">f", float("nan")), b"d" + struct.pack(">d", float("inf"))])
def test_a_number_that_is_none_is_read(value: bytes) -> None:
    assert isinstance(decoded(table({"it": value}))["it"], float)


def test_what_is_before_an_unreadable_value_is_read_and_the_rest_is_kept() -> None:
    assert decoded(table({"good": b"V", "bad": b"Zabc"})) == {"good": None, UNDECODED: b"\x03badZabc"}
    assert decoded(table({"it": b"A" + long(b"VZ")})) == {"it": [None, b"Z"]}


def test_a_name_is_always_a_string_and_the_last_of_a_name_counts() -> None:
    assert decoded(table({b"\xff": b"V"})) == {"\ufffd": None}
    assert decoded(short("a") + string("1") + short("a") + string("2")) == {"a": "2"}


def test_no_depth_is_too_deep() -> None:
    value = b"V"
    for _ in range(5000):
        value = b"A" + long(value)
    found = decoded(table({"it": value}))["it"]
    depth = 0
    while isinstance(found, list):
        (found,) = found
        depth += 1
    assert depth == MOST_DEPTH
    assert isinstance(found, bytes)


LETTERS = st.sampled_from([bytes([letter]) for letter in b"tbBsUuIilLfdDTVSxAFZ"])
FIELDS = st.lists(st.tuples(st.binary(max_size=4), LETTERS, st.binary(max_size=24)))


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_at_all_make_it_raise(data: bytes, offset: int) -> None:
    found, end = decode_table(data, min(offset, len(data)))
    assert end <= len(data)
    repr(found)


@given(FIELDS)
def test_no_field_makes_it_raise_or_lose_its_place(fields: list[tuple[bytes, bytes, bytes]]) -> None:
    repr(decoded(b"".join(short(name) + letter + rest for name, letter, rest in fields)))


ORDINARY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=9), inside, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=20), ORDINARY))
def test_what_the_library_writes_is_read_as_it_was(fields: dict[str, Any]) -> None:
    pieces: list[bytes] = []
    size = pika.data.encode_table(pieces, fields)
    assert decode_table(b"".join(pieces), 0) == (fields, size)
