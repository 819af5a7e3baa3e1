"""A wire to a broker that breaks when its client publishes."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

SECONDS = 60.0  # only keeps a test from hanging
HEADER_BYTES = len(b"AMQP\0\0\x09\x01")
METHOD, PUBLISH = 1, struct.pack(">HH", 60, 40)


@contextmanager
def breaking_at_publish(url: str) -> Iterator[str]:
    """Yield the URL of the same broker over a wire that passes everything on until the client publishes."""
    at = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = (at.hostname or "127.0.0.1", at.port or 5672)
        threading.Thread(target=_serve, args=(server, broker), daemon=True).start()
        login = at.netloc.rpartition("@")[0]
        yield at._replace(netloc=f"{login}@127.0.0.1:{server.getsockname()[1]}").geturl()


def _serve(server: socket.socket, broker: tuple[str, int]) -> None:
    with suppress(OSError):
        client, _ = server.accept()
        with client, socket.create_connection(broker, SECONDS) as there:
            back = threading.Thread(target=_copy, args=(there, client), daemon=True)
            back.start()
            _pass_frames(client, there)
            there.shutdown(socket.SHUT_WR)  # earlier bytes have been passed on
            back.join(SECONDS)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def _pass_frames(client: socket.socket, there: socket.socket) -> None:
    with client.makefile("rb") as sent:
        there.sendall(sent.read(HEADER_BYTES))
        while len(start := sent.read(7)) == 7:
            kind, _, size = struct.unpack(">BHI", start)
            frame = start + sent.read(size + 1)
            if kind == METHOD and frame[7:11] == PUBLISH:
                return
            there.sendall(frame)
