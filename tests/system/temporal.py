"""The Temporal that a test run uses, with `SAGA_ENGINE=temporal` or where a test names it.

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
ENGINE_OF_RUN = "CHECKOUT_TEST_ENGINE"  # the engine of all systems that do not name one
TEMPORAL = "temporal"
BOTH = ("builtin", TEMPORAL)
HEARTBEAT_SECONDS = 1  # so that a killed worker's step continues soon


def take_engine() -> None:
    """Call it when a run begins: `SAGA_ENGINE` is for systems of processes, not for code tested in this process."""
    if ENGINE in os.environ:
        os.environ[ENGINE_OF_RUN] = os.environ.pop(ENGINE)


def engine_of_run() -> str:
    """Return the engine of orchestrated sagas in this run."""
    return os.environ.get(ENGINE_OF_RUN) or "builtin"


def settings_at(address: str) -> Mapping[str, str]:
    """Return the settings of a system whose new sagas run on the Temporal at this address."""
    return {
        ENGINE: TEMPORAL,
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_TASK_QUEUE": f"test-{uuid4().hex}",
        "TEMPORAL_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
    }


def address_of_run() -> str:
    """Return the address of this run's server; the first caller starts it."""
    home = Path(os.environ[HOME])
    with locked(home):
        known = home / "temporal-address"
        if not known.exists():
            known.write_text(_start_private(home / TEMPORAL))
        return known.read_text()


class OwnTemporal:
    """A server that tests may stop, kill and freeze; it keeps its address and its data."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="temporal-", dir=os.environ[HOME]))
        self.address = _start_private(self._home)

    def stop(self) -> None:
        """Stop it gracefully, until `start`."""
        servers.stop_one(self._home, TEMPORAL)

    def start(self) -> None:
        """Start it after `stop` or `kill`; returns when it accepts connections."""
        servers.start_one(self._home, TEMPORAL)

    def kill(self) -> None:
        """SIGKILL it. Its supervisor starts it again; `start` waits for that."""
        servers.kill(self._home, TEMPORAL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP it for the block: connections are accepted, and nothing is answered."""
        pid = servers.pid_of(self._home, TEMPORAL)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop all of its processes."""
        end_private(self._home)


@contextmanager
def own_temporal() -> Iterator[OwnTemporal | None]:
    """A server of one's own if this run's sagas run on Temporal; else None."""
    server = OwnTemporal() if engine_of_run() == TEMPORAL else None
    try:
        yield server
    finally:
        if server is not None:
            server.close()


def settings_of(server: OwnTemporal | None) -> Mapping[str, str]:
    """Return the settings of a system that uses this server."""
    return {} if server is None else settings_at(server.address)


def _start_private(home: Path) -> str:
    home.mkdir(exist_ok=True)
    (home / "private").touch()
    command = [sys.executable, "-m", "stack", "servers", "--home", str(home), "--only", TEMPORAL]
    log = home / "servers.log"  # a file, since processes that stay would keep a pipe open
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
