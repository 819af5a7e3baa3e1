"""The Temporal that a test run uses where its sagas run there: with `SAGA_ENGINE=temporal`, or where a test says so.

The first test that needs it starts a development server, which ends with the run. Each system has its own task queue.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from dotenv import dotenv_values

from shared.config import ROOT
from stack import servers
from tests.system.brokers import end_private
from tests.system.servers import HOME, locked

ENGINE = "SAGA_ENGINE"
ENGINE_OF_RUN = "CHECKOUT_TEST_ENGINE"  # of the sagas of all systems that do not name one
TEMPORAL = "temporal"
BOTH = ("builtin", TEMPORAL)
HEARTBEAT_SECONDS = 1  # so that a killed worker's step goes on soon


def take_engine() -> None:
    """Call when a run begins: `SAGA_ENGINE` is for its systems of processes, and not for what it tests by itself."""
    if ENGINE in os.environ:
        os.environ[ENGINE_OF_RUN] = os.environ.pop(ENGINE)


def engine_of_run() -> str:
    """What runs orchestrated sagas in this run."""
    return os.environ.get(ENGINE_OF_RUN) or "builtin"


def settings_at(address: str) -> Mapping[str, str]:
    """The settings of a system whose new sagas run on the Temporal at this address."""
    return {
        ENGINE: TEMPORAL,
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_TASK_QUEUE": f"test-{uuid4().hex}",
        "TEMPORAL_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
    }


def address_of_run() -> str:
    """This run's server, started by whoever is the first to ask."""
    home = Path(os.environ[HOME])
    with locked(home):
        known = home / "temporal-address"
        if not known.exists():
            known.write_text(_start_private(home / TEMPORAL))
        return known.read_text()


class OwnTemporal:
    """A server that tests may stop, kill and freeze; it stays at its address, and keeps its data."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="temporal-", dir=os.environ[HOME]))
        self.address = _start_private(self._home)

    def stop(self) -> None:
        """As an administrator would, until `start`."""
        servers.stop_one(self._home, TEMPORAL)

    def start(self) -> None:
        """Have it again after `stop` or `kill`; returns when it takes connections."""
        servers.start_one(self._home, TEMPORAL)

    def kill(self) -> None:
        """SIGKILL, as a crash would. It comes back by itself; `start` waits for that."""
        servers.kill(self._home, TEMPORAL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP meanwhile: it takes connections, and does nothing."""
        pid = servers.pid_of(self._home, TEMPORAL)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Leave nothing of it running."""
        end_private(self._home)


@contextmanager
def own_temporal() -> Iterator[OwnTemporal | None]:
    """A server of one's own where this run's sagas run on Temporal; None where they do not."""
    server = OwnTemporal() if engine_of_run() == TEMPORAL else None
    try:
        yield server
    finally:
        if server is not None:
            server.close()


def settings_of(server: OwnTemporal | None) -> Mapping[str, str]:
    """The settings of a system that uses it."""
    return {} if server is None else settings_at(server.address)


def _start_private(home: Path) -> str:
    home.mkdir(exist_ok=True)
    (home / "private").touch()
    command = [sys.executable, "-m", "stack", "servers", "--home", str(home), "--only", TEMPORAL]
    log = home / "servers.log"  # a file, since what the command leaves running keeps a pipe open
    with log.open("w") as output:
        environment = {**os.environ, "TEMPORAL_ADDRESS": ""}
        started = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False)
    address = dotenv_values(home / "stack.env").get("TEMPORAL_ADDRESS") if started.returncode == 0 else None
    if address is None:
        raise RuntimeError(f"no private Temporal; install it: make .venv/.temporal\n{log.read_text()}")
    return address


if __name__ == "__main__":
    for private in Path(sys.argv[1]).glob("temporal*/private"):
        end_private(private.parent)
