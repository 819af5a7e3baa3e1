"""A publisher that writes AMQP 0-9-1 frames by hand, for messages that no client library would send."""

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

SECONDS = 60.0  # only keeps a test from hanging
METHOD, HEADER, BODY = 1, 2, 3
BODY_BYTES = 100_000  # of a frame, less than the smallest that a broker offers here
CONTENT_TYPE, HEADERS, PERSISTENT = 0x8000, 0x2000, 0x1000
CONNECTION_START, CONNECTION_TUNE, CONNECTION_OPENED = (10, 10), (10, 30), (10, 41)
CHANNEL_OPENED, CONFIRMING, CONFIRMED = (20, 11), (85, 11), (60, 80)


class Refused(Exception):
    """The broker closed the connection or the channel, and did not accept the message."""


def short(text: str | bytes) -> bytes:
    """Encode a short string."""
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def long(data: str | bytes) -> bytes:
    """Encode a long string, or other bytes after their length in four bytes."""
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def string(text: str | bytes) -> bytes:
    """Encode a string as a field value."""
    return b"S" + long(text)


def table(fields: Mapping[str, bytes] | Mapping[bytes, bytes]) -> bytes:
    """Encode the inside of a field table; values begin with the letter of their type."""
    return b"".join(short(name) + value for name, value in fields.items())


class RawPublisher:
    """One channel with publisher confirms. Each message is confirmed, or raises `Refused`, which ends the channel."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        login = f"\0{unquote(at.username or 'guest')}\0{unquote(at.password or 'guest')}"
        self._socket = socket.create_connection((at.hostname or "127.0.0.1", at.port or 5672), SECONDS)
        self._came = self._socket.makefile("rb")
        self._socket.sendall(b"AMQP\0\0\x09\x01")
        self._await(CONNECTION_START)
        self._method(0, (10, 11), long(b"") + short("PLAIN") + long(login) + short("en_US"))
        tuning = self._await(CONNECTION_TUNE)
        self._method(0, (10, 31), tuning)
        self._method(0, (10, 40), short(unquote(at.path[1:]) or "/") + short("") + b"\0")
        self._await(CONNECTION_OPENED)
        self._method(1, (20, 10), short(""))
        self._await(CHANNEL_OPENED)
        self._method(1, (85, 10), b"\0")
        self._await(CONFIRMING)

    def publish(self, exchange: str, key: str, fields: bytes, body: bytes, content_type: str | bytes = "") -> None:
        """Publish a message with these headers, the inside of a field table; returns when that is confirmed."""
        properties = short(content_type) + long(fields) + b"\x02"
        self.publish_raw(exchange, key, struct.pack(">H", CONTENT_TYPE | HEADERS | PERSISTENT) + properties, body)

    def publish_raw(self, exchange: str, key: str, properties: bytes, body: bytes) -> None:
        """The same, with properties of any kind, which begin with their flags."""
        self._method(1, (60, 40), b"\0\0" + short(exchange) + short(key) + b"\0")
        self._frame(HEADER, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties)
        for start in range(0, len(body), BODY_BYTES):
            self._frame(BODY, 1, body[start : start + BODY_BYTES])
        self._await(CONFIRMED)

    def close(self) -> None:
        """Close the socket without closing the AMQP connection."""
        self._came.close()
        self._socket.close()

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        self._socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def _method(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        self._frame(METHOD, channel, struct.pack(">HH", *method) + arguments)

    def _await(self, wanted: tuple[int, int]) -> bytes:
        while True:
            start = self._came.read(7)
            if len(start) < 7:
                raise Refused("the connection was closed")
            kind, _, size = struct.unpack(">BHI", start)
            payload = self._came.read(size + 1)[:-1]
            if kind != METHOD:
                continue
            method = struct.unpack(">HH", payload[:4])
            if method == wanted:
                return payload[4:]
            if method in {(10, 50), (20, 40)}:
                raise Refused(payload[6:].decode(errors="replace"))


@contextmanager
def raw_publisher(url: str) -> Iterator[RawPublisher]:
    """Open a publisher for the block."""
    publisher = RawPublisher(url)
    try:
        yield publisher
    finally:
        publisher.close()
