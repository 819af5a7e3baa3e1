"""The processes that a stack started, found in /proc by the stack's mark, and never by name."""

import os
import signal
from pathlib import Path

from stack.home import MARKER, Home
from stack.waiting import wait_until

# The signals to send in turn, and how long to wait after each. INT makes PostgreSQL stop without waiting for clients.
ESCALATION = ((signal.SIGTERM, 15), (signal.SIGINT, 15), (signal.SIGKILL, 10))


def processes(home: Home) -> set[int]:
    """Return the pids of all processes that this home's stack started, without the caller and its ancestors."""
    mark = f"{MARKER}={home.path}".encode()
    marked = {pid for pid in _all_pids() if mark in _read(pid, "environ").split(b"\0")}
    return (marked | postgres_processes(home.postgres / "data")) - _caller()


def postgres_processes(data: Path) -> set[int]:
    """Return the pids of a cluster's server. Its children overwrite their environment, but work in its folder."""
    return {pid for pid in _all_pids() if _read(pid, "comm") == b"postgres\n" and _cwd(pid) == str(data)}


def environment(pid: int) -> dict[str, str]:
    """Return the environment with which a process was started; empty when it has ended or is another user's."""
    pairs = (pair.partition(b"=") for pair in _read(pid, "environ").split(b"\0"))
    return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals}


def stop(home: Home) -> bool:
    """Stop all of them, at last by SIGKILL; False when some are left."""
    for firmness, seconds in ESCALATION:
        for pid in processes(home):
            try:
                os.kill(pid, firmness)
            except ProcessLookupError:  # it has ended
                continue
        if wait_until(lambda: not processes(home), seconds):
            return True
    return False


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _caller() -> set[int]:
    """Return the pids of this process and its ancestors, which may belong to a stack."""
    pids, pid = set(), os.getpid()
    while pid:
        pids.add(pid)
        stat = _read(pid, "stat")
        # The format is `pid (comm) state ppid ...`. comm may contain spaces and brackets, so parse after the last one.
        pid = int(stat.rpartition(b")")[2].split()[1]) if stat else 0
    return pids


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:  # it has ended, or belongs to another user
        return b""


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""
