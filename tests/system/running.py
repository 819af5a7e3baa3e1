"""A system of real processes, for tests that kill, stop and freeze them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from shared.config import ROOT
from shared.testing import wait_until
from stack.processes import PROCESSES, Process
from tests.system import temporal

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")  # variables of this process that are passed on; no settings
NO_FILES = {"SETTINGS_FILES": ""}  # no files, which may have the user's settings
EXECUTOR = "saga_orchestrator-worker"
DASHBOARD = "dashboard"  # for people; it has no work of its own
CHOREOGRAPHY = ("saga_choreography", "saga_choreography-worker", "pagos-worker")  # useless without a broker
LOG_LINES, LOG_WIDTH = 60, 3000  # shown of each process when a test fails; a traceback is one line


class Spawner:
    """The process that forks all others (`tests/system/spawner.py`); one is enough for a run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.spawner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **NO_FILES},
        )

    def start(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Start a process as the leader of its own process group; return its id."""
        return int(self._ask({"argv": list(argv), "env": dict(env), "log": str(log)})["pid"])

    def status(self, pid: int) -> int | None:
        """Return how the process ended (negative: the signal); None while it lives."""
        status: int | None = self._ask({"pid": pid})["status"]
        return status

    def close(self) -> None:
        """Kill the processes that still run, and end."""
        self._process.communicate()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("made without pipes")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@dataclass
class Instance:
    """One process of the system, across restarts."""

    name: str
    process: Process
    log: Path
    reservation: socket.socket | None = None
    env: dict[str, str] = field(default_factory=dict)
    lives: int = 0
    pid: int = 0  # 0 while it does not run

    @property
    def port(self) -> int | None:
        """Its port, reserved as long as the system exists."""
        return None if self.reservation is None else int(self.reservation.getsockname()[1])

    @property
    def fault_mark(self) -> Path:
        """The file that the fault creates when it kills this process."""
        return self.log.with_suffix(f".fault-{self.lives}")


class RunningSystem:
    """Processes of `stack/processes.py` on free ports, over one database; a context manager.

    `processes` names those to run, `copies` says how many of one, `env` is for all and `env_of` for one by its name.
    Unless told, all run but the servers and, without a `rabbitmq_url`, those that only choreographed checkouts need.
    The n-th of several copies is called `<name>-<n>`. Copies of a web process share one port, on which the kernel
    distributes connections. Those in `standby` are not started before `start`.
    """

    def __init__(
        self,
        spawner: Spawner,
        database_url: str,
        folder: Path,
        *,
        rabbitmq_url: str | None = None,
        processes: Sequence[str] | None = None,
        copies: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        env_of: Mapping[str, Mapping[str, str]] | None = None,
        standby: Collection[str] = (),
    ) -> None:
        self._spawner = spawner
        self._standby = standby
        self._instances: dict[str, Instance] = {}
        self._ports: dict[str, socket.socket | None] = {}
        for name in processes or _default_processes(choreographed=rabbitmq_url is not None):
            count = (copies or {}).get(name, PROCESSES[name].copies)
            self._ports[name] = _reserve_port(PROCESSES[name])
            for one in [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]:
                own_env = {**(env_of or {}).get(name, {}), **(env_of or {}).get(one, {})}
                log = folder / f"{one}.log"
                self._instances[one] = Instance(one, PROCESSES[name], log, self._ports[name], own_env)
        told = {} if rabbitmq_url is None else {"RABBITMQ_URL": rabbitmq_url}
        self.engine = (env or {}).get(temporal.ENGINE) or (
            temporal.engine_of_run() if EXECUTOR in (each.process.name for each in self._instances.values()) else ""
        )
        if self.engine == temporal.TEMPORAL and "TEMPORAL_ADDRESS" not in (env or {}):
            told |= temporal.settings_at(temporal.address_of_run())
        self._env = {**self._common_env(database_url), **told, **(env or {})}

    def __enter__(self) -> "RunningSystem":
        try:
            running = [name for name in self._instances if name not in self._standby]
            for name in running:
                self._start(name)
            for name in running:
                self.wait_healthy(name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def names(self) -> list[str]:
        """The names of all processes of the system."""
        return list(self._instances)

    @property
    def services(self) -> list[str]:
        """The name of every process of the system, once for all of its copies."""
        return list(self._ports)

    def url(self, name: str) -> str:
        """Return the URL of a service, also while it is down."""
        port = self._ports[name]
        return f"http://127.0.0.1:{None if port is None else port.getsockname()[1]}"

    def kill_alone(self, name: str) -> None:
        """SIGKILL the process, and none of its children; returns when all of them are gone."""
        os.kill(self._pid(name), signal.SIGKILL)
        self._wait_gone(name)

    def kill(self, name: str) -> None:
        """SIGKILL it with its children; returns when it is dead."""
        with suppress(ProcessLookupError):  # it may be dying of a fault at this moment
            self._signal(name, signal.SIGKILL)
        self._wait_gone(name)

    def stop(self, name: str, seconds: float = 30) -> int:
        """SIGTERM it; returns its exit status when it has ended."""
        pid = self._pid(name)
        os.kill(pid, signal.SIGTERM)
        status: list[int] = wait_until(lambda: _listed(self._spawner.status(pid)), f"{name} stops", seconds)
        self._wait_gone(name)
        return status[0]

    def freeze(self, name: str) -> None:
        """SIGSTOP it."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT it."""
        self._signal(name, signal.SIGCONT)

    def start(self, name: str) -> None:
        """Start a dead process, as a supervisor would; does not wait for it."""
        self._start(name)

    def restart(self, name: str, **env: str) -> None:
        """Kill it if it lives, and start it with these additional settings, for this run of it only."""
        if self.alive(name):
            self.kill(name)
        self._instances[name].env.pop("FAULT_KILL_AT", None)  # so that it does not die of the same fault again
        self._start(name, env)
        self.wait_healthy(name)

    def alive(self, name: str) -> bool:
        """Whether the process runs (a frozen one does)."""
        instance = self._instances[name]
        return instance.pid != 0 and self._spawner.status(instance.pid) is None

    def wait_dead(self, name: str, seconds: float = 30) -> None:
        """Wait until the process was killed by its fault (`FAULT_KILL_AT`), or has ended.

        gunicorn would restart a dead worker, so it is killed, too, until `restart`.
        """
        instance = self._instances[name]
        wait_until(lambda: instance.fault_mark.exists() or not self.alive(name), f"{name} dies", seconds)
        if self.alive(name):
            self.kill(name)
        self._wait_gone(name)

    def fault_fired(self, name: str) -> bool:
        """Whether the fault of its latest start has killed it."""
        return self._instances[name].fault_mark.exists()

    def wait_healthy(self, name: str, seconds: float = 30) -> None:
        """Wait until a service answers `GET /health` with 200; a process without a port is healthy when it runs."""
        instance = self._instances[name]
        if instance.port is not None:
            wait_until(lambda: self._healthy(instance), f"{name} is healthy\n{self.log(name)}", seconds)

    def log(self, name: str) -> str:
        """Return the end of its log, including earlier runs."""
        path = self._instances[name].log
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(line[:LOG_WIDTH] for line in lines[-LOG_LINES:])

    def logged(self, event: str) -> Iterator[Mapping[str, Any]]:
        """The log entries of this event, of all processes and all their lives."""
        for instance in self._instances.values():
            lines = instance.log.read_text(errors="replace").splitlines() if instance.log.exists() else []
            for line in lines:
                if f'"event": "{event}"' in line:
                    yield json.loads(line)

    def close(self) -> None:
        """Kill everything; free the ports."""
        for instance in self._instances.values():
            if instance.pid and _group_exists(instance.pid):
                self._signal(instance.name, signal.SIGKILL)
        for instance in self._instances.values():
            self._wait_gone(instance.name)
        for port in self._ports.values():
            if port is not None:
                port.close()

    def _common_env(self, database_url: str) -> dict[str, str]:
        env = {name: os.environ[name] for name in KEPT if name in os.environ}
        env["GUNICORN_CMD_ARGS"] = "--reuse-port"  # see _reserve_port
        env["DATABASE_URL"] = database_url
        env |= NO_FILES
        for name, process in PROCESSES.items():
            if process.package:
                env[f"{process.package.upper()}_DATABASE_URL"] = database_url
            if process.url_setting and name in self._ports:
                env[process.url_setting] = self.url(name)
        return env

    def _start(self, name: str, env: Mapping[str, str] | None = None) -> None:
        instance = self._instances[name]
        instance.lives += 1
        own = {**self._env, **instance.env, **(env or {}), "FAULT_ONCE": str(instance.fault_mark)}
        instance.pid = self._spawner.start(instance.process.argv(instance.port), own, instance.log)

    def _healthy(self, instance: Instance) -> bool:
        if not self.alive(instance.name):
            raise AssertionError(f"{instance.name} ended while it started\n{self.log(instance.name)}")
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _signal(self, name: str, number: signal.Signals) -> None:
        os.killpg(self._pid(name), number)

    def _pid(self, name: str) -> int:
        """Return its pid, which is also its process group's; `ProcessLookupError` while it does not run."""
        if not (pid := self._instances[name].pid):
            raise ProcessLookupError(name)
        return pid

    def _wait_gone(self, name: str) -> None:
        """Wait until the process and its children are gone; its pid may be reused from then on."""
        instance = self._instances[name]
        if instance.pid:
            wait_until(lambda: not _group_exists(instance.pid), f"nothing of {name} is left", 10)
            instance.pid = 0


def _default_processes(*, choreographed: bool) -> list[str]:
    left_out = (DASHBOARD,) if choreographed else (DASHBOARD, *CHOREOGRAPHY)
    return [each.name for each in PROCESSES.values() if not each.server and each.name not in left_out]


def _group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _listed(status: int | None) -> list[int]:
    return [] if status is None else [status]


def _reserve_port(process: Process) -> socket.socket | None:
    """Reserve a port as long as the socket is open; it does not listen.

    The service binds the port, too (SO_REUSEPORT), and again after each restart; while it is down, connections are
    refused.
    """
    if not process.port_setting:
        return None
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation
