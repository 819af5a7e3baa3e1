"""Decodes AMQP 0-9-1 field tables (the headers of messages), whatever a publisher wrote into them.

pika's decoder raises for values that AMQP allows and Python does not, such as a timestamp in milliseconds. That ends
the connection at each delivery of the message. This decoder never raises: it returns such a value in its raw form.
"""

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

UNDECODED = "undecoded"  # the name of the bytes of a table that can't be decoded
MOST_DEPTH = 16  # of nested tables and arrays; deeper ones are returned as bytes, which bounds the recursion
_LENGTH = struct.Struct(">I")


def decode_table(encoded: bytes, offset: int) -> tuple[dict[str, Any], int]:
    """Return the table at `offset`, and the offset after it. Never raises; of equal names the last one counts."""
    data, end = _long(encoded, offset)
    return _table(data, MOST_DEPTH), end


def _table(data: bytes, depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    offset = 0
    while offset < len(data):
        start = offset
        after_name = start + 1 + data[start]
        name = data[start + 1 : after_name].decode(errors="replace")
        try:
            fields[name], offset = _value(data, after_name, depth)
        except (struct.error, KeyError):
            return {**fields, UNDECODED: data[start:]}
    return fields


def _array(data: bytes, depth: int) -> list[Any]:
    items: list[Any] = []
    offset = 0
    while offset < len(data):
        try:
            item, offset = _value(data, offset, depth)
        except (struct.error, KeyError):
            return [*items, data[offset:]]
        items.append(item)
    return items


def _value(data: bytes, offset: int, depth: int) -> tuple[Any, int]:
    """Return the value whose type letter is at `offset`, and the offset after it; `KeyError` for an unknown letter."""
    kind = data[offset : offset + 1]
    if kind == b"S" and depth > 0 and len(data) >= (start := offset + 1 + _LENGTH.size):  # nearly all are texts
        (length,) = _LENGTH.unpack_from(data, offset + 1)
        if (end := start + length) <= len(data):
            return _text(data[start:end], depth), end
    if kind in _FIXED:
        form, of = _FIXED[kind]
        return of(*form.unpack_from(data, offset + 1)), offset + 1 + form.size
    of_bytes = _OF_BYTES[kind]
    inside, end = _long(data, offset + 1)
    return of_bytes(inside, depth - 1) if depth > 0 else inside, end


def _long(data: bytes, offset: int) -> tuple[bytes, int]:
    """Return the bytes at `offset`, which follow their length; fewer when the table ends first."""
    (length,) = _LENGTH.unpack_from(data, offset) if len(data) >= offset + _LENGTH.size else (0,)
    start = offset + _LENGTH.size
    end = min(start + length, len(data))
    return data[start:end], max(end, min(start, len(data)))


def _text(data: bytes, _: int) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _time(seconds: int) -> datetime | int:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


def _decimal(places: int, digits: int) -> Decimal:
    return Decimal(digits).scaleb(-places)


def _nothing() -> None:
    return None


def _same(value: Any) -> Any:
    return value


# The letters are those of RabbitMQ, which differ from the specification: https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
_FIXED: Mapping[bytes, tuple[struct.Struct, Callable[..., Any]]] = {
    b"t": (struct.Struct(">?"), _same),
    b"b": (struct.Struct(">b"), _same),
    b"B": (struct.Struct(">B"), _same),
    b"s": (struct.Struct(">h"), _same),
    b"U": (struct.Struct(">h"), _same),
    b"u": (struct.Struct(">H"), _same),
    b"I": (struct.Struct(">i"), _same),
    b"i": (struct.Struct(">I"), _same),
    b"l": (struct.Struct(">q"), _same),
    b"L": (struct.Struct(">q"), _same),
    b"f": (struct.Struct(">f"), _same),
    b"d": (struct.Struct(">d"), _same),
    b"D": (struct.Struct(">Bi"), _decimal),
    b"T": (struct.Struct(">Q"), _time),
    b"V": (struct.Struct(">"), _nothing),
}
_OF_BYTES: Mapping[bytes, Callable[[bytes, int], Any]] = {
    b"S": _text,
    b"x": lambda data, _: data,
    b"A": _array,
    b"F": _table,
}
