"""Is a RabbitMQ ready? Answered by opening a connection with user and virtual host, and nothing more.

Speaks those few frames of AMQP 0-9-1 itself: pika belongs to `shared/rabbitmq.py` alone, and the stack has to work
before the services do.
"""

import contextlib
import socket
import ssl
import struct
from urllib.parse import SplitResult, unquote, urlsplit

TIMEOUT_SECONDS = 10  # a machine that is busy starting others takes a while
PROTOCOL = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME, FRAME_END = 1, b"\xce"
# (class, method), section 1.4 of the specification
START, START_OK = (10, 10), (10, 11)
TUNE, TUNE_OK = (10, 30), (10, 31)
OPEN, OPEN_OK = (10, 40), (10, 41)
CLOSE, CLOSE_OK = (10, 50), (10, 51)


def is_ready(url: str) -> bool:
    """Whether a connection to this amqp(s):// URL opens."""
    try:
        with _connect(urlsplit(url)) as connection:
            _open(connection, urlsplit(url))
    except OSError:
        return False
    return True


def _connect(url: SplitResult) -> socket.socket:
    secure = url.scheme == "amqps"
    address = (url.hostname or "localhost", url.port or (5671 if secure else 5672))
    connection = socket.create_connection(address, TIMEOUT_SECONDS)
    if secure:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=url.hostname)
    return connection


def _open(connection: socket.socket, url: SplitResult) -> None:
    user, password = unquote(url.username or "guest"), unquote(url.password or "guest")
    login = f"\0{user}\0{password}".encode()
    connection.sendall(PROTOCOL)
    _expect(connection, START)
    no_properties = struct.pack(">I", 0)
    _send(
        connection, START_OK, no_properties + _short("PLAIN") + struct.pack(">I", len(login)) + login + _short("en_US")
    )
    _send(connection, TUNE_OK, _expect(connection, TUNE))  # as the server likes it
    _send(connection, OPEN, _short(unquote(url.path[1:]) or "/") + _short("") + b"\0")
    _expect(connection, OPEN_OK)
    # Said goodbye to, a server doesn't log a lost connection.
    _send(connection, CLOSE, struct.pack(">H", 200) + _short("") + struct.pack(">HH", 0, 0))
    with contextlib.suppress(OSError):
        _expect(connection, CLOSE_OK)


def _short(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def _send(connection: socket.socket, method: tuple[int, int], arguments: bytes) -> None:
    payload = struct.pack(">HH", *method) + arguments
    connection.sendall(struct.pack(">BHI", METHOD_FRAME, 0, len(payload)) + payload + FRAME_END)


def _expect(connection: socket.socket, method: tuple[int, int]) -> bytes:
    """The arguments of the next frame, if it is this method; OSError for anything else."""
    kind, _, size = struct.unpack(">BHI", _read(connection, 7))
    payload = _read(connection, size + 1)
    if kind != METHOD_FRAME or struct.unpack(">HH", payload[:4]) != method:
        raise ConnectionError("This isn't RabbitMQ, or it refuses us.")
    return payload[4:-1]


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("The server hung up.")
        data += more
    return data
