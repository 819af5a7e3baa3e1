"""Tells which ports are free, and which processes hold the others."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from textwrap import shorten

from stack.errors import StackError

HOST = "127.0.0.1"
# Below the range from which Linux takes ports for outgoing connections: there, a client could take the port of a
# server that is restarting.
FREE_RANGE = range(10_240, 32_768)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as candidate:
        # Servers set this option; without it, recently closed connections would count as taken.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST, port))
        except OSError:
            return False
    return True


def any_free() -> int:
    """Return a free port, chosen at random so that two starting stacks choose different ones."""
    for port in random.sample(FREE_RANGE, k=1000):
        if is_free(port):
            return port
    raise StackError("Found no free port.")


def holder(port: int) -> str:
    """Describe the listener on this port, if this user may see it: `pid 42 (python -m http.server)`."""
    for pid in holders(port):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return f"pid {pid} ({shorten(command, 100)})"
    return "a process of another user"


def holders(port: int) -> Iterator[int]:
    """Return the pids of the listeners on this port that this user may see."""
    sockets = _listening_sockets(port)
    for process in Path("/proc").glob("[0-9]*"):
        if sockets & _open_files(process):
            yield int(process.name)


def _open_files(process: Path) -> set[str]:
    opened = set()
    with suppress(OSError):  # it has ended, or belongs to another user
        for link in (process / "fd").iterdir():
            with suppress(OSError):  # it was closed
                opened.add(os.readlink(link))
    return opened


def _listening_sockets(port: int) -> set[str]:
    listening, inodes = "0A", set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for _, local, _, state, *rest in map(str.split, lines):
            if state == listening and int(local.rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{rest[5]}]")
    return inodes
