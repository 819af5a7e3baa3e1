"""The servers alone, private and on free ports: for tests.

from stack import servers
told = servers.start(home, only=["postgres"])   # {"DATABASE_URL": ...}; also in <home>/stack.env
servers.kill(home, "postgres")                  # kill -9; it comes back by itself, on the same port
servers.stop_one(home, "postgres"); servers.start_one(home, "postgres")
servers.stop(home)                              # leaves nothing running
"""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from stack import lifecycle, owned, settings
from stack.errors import StackError
from stack.home import Home, lock
from stack.processes import select
from stack.supervision import Supervisor
from stack.waiting import HANGING_SECONDS, wait_until

NAMES = tuple(settings.SERVER_OF.values())
USUAL = tuple(process.name for process in select() if process.server)


def start(home: Path, only: Iterable[str] = USUAL) -> dict[str, str]:
    """Start private servers on free ports and wait for them; with DATABASE_URL or RABBITMQ_URL, use the user's.

    Returns the URLs, and the ports of started servers; a second call returns the same. Raises `StackError` when a
    server does not start.
    """
    at = Home.at(home)
    at.make()
    with lock(at.path / "lock"):
        if Supervisor(at).is_running():
            return settings.read_env_file(at.env_file)
        owned.stop(at)  # left by a supervisor that was killed
        user, processes = settings.user_settings(), select(only)
        ports = settings.choose_ports(settings.ours(processes, user), user, private=True)
        told = lifecycle.launch(at, processes, user, ports)
        for process in processes:
            lifecycle.await_server(at, process.name, told)
    return told


def stop(home: Path) -> None:
    """Stop all that was started in this home."""
    lifecycle.stop(Home.at(home))


def start_one(home: Path, name: str) -> None:
    """Start a server after `stop_one` and wait until it answers; after `kill`, wait until it answers again."""
    at = Home.at(home)
    Supervisor(at).start([name])
    lifecycle.await_server(at, name, settings.read_env_file(at.env_file))


def stop_one(home: Path, name: str) -> None:
    """Stop a server gracefully, until `start_one`."""
    Supervisor(Home.at(home)).stop([name])


def restart(home: Path, name: str) -> None:
    """Stop a server and start it again, on the same port."""
    stop_one(home, name)
    start_one(home, name)


def pid_of(home: Path, name: str) -> int:
    """Return the pid of a process; 0 when it does not run."""
    return int(Supervisor(Home.at(home)).info(name)["pid"])


def kill(home: Path, name: str) -> int:
    """SIGKILL a process and wait until the supervisor has noticed; it starts again. Returns the pid that it had."""
    pid = pid_of(home, name)
    os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: pid_of(home, name) != pid, HANGING_SECONDS):
        raise StackError(f"{name} did not end.")
    return pid
