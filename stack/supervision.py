"""supervisord: its configuration, generated from the list of processes, and calls to it."""

import configparser
import io
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any
from xml.parsers.expat import ExpatError
from xmlrpc.client import Error, Fault, ServerProxy, Transport

from shared.process import heartbeat
from stack import owned, process_log
from stack.errors import StackError
from stack.home import ROOT, Home, write_private
from stack.ports import HOST, any_free
from stack.processes import PROCESSES, Process
from stack.waiting import HANGING_SECONDS, wait_until

# supervisord waits 1, 2, 3... seconds between its tries, so this is three and a half minutes until it gives up.
START_RETRIES = 20
CALL_SECONDS = 10  # supervisord answers in milliseconds
STOP_SECONDS = 90  # longer than any process's own limit, after which supervisord kills it
ALREADY_STARTED = 60  # a constant of supervisor.xmlrpc.Faults; `make down` works without that library
METRICS_ADDRESS = "METRICS_ADDRESS"
NO_SETTINGS: Mapping[str, str] = {}
ALIVE = ("STARTING", "RUNNING", "BACKOFF")  # BACKOFF: waits for its next start


def configuration(
    home: Home, processes: Iterable[Process], ports: Mapping[str, int], user: Mapping[str, str] = NO_SETTINGS
) -> str:
    """Return supervisord.conf for these processes. supervisord listens on loopback, with a password."""
    parser = configparser.RawConfigParser()
    parser["supervisord"] = {
        "logfile": _escaped(home.logs / "supervisord.log"),
        "pidfile": _escaped(home.supervisor / "supervisord.pid"),
        "childlogdir": _escaped(home.logs),
        "directory": _escaped(ROOT),
        **({"user": "root"} if os.geteuid() == 0 else {}),  # without it, supervisord warns that it stays root
    }
    parser["inet_http_server"] = {
        "port": f"{HOST}:{any_free()}",  # a socket's path may not be longer than 107 bytes; a checkout's may
        "username": "stack",
        "password": secrets.token_hex(16),
    }
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    _add_programs(parser, home, processes, ports, user)
    return _text(parser)


def _add_programs(
    parser: configparser.RawConfigParser,
    home: Home,
    processes: Iterable[Process],
    ports: Mapping[str, int],
    user: Mapping[str, str],
) -> None:
    metrics = _metrics_addresses(user.get(METRICS_ADDRESS, ""))
    for process in processes:
        argv = process.argv(ports.get(process.port_setting))
        for instance in process.instances():
            own = {heartbeat.FILE: str(home.heartbeat(instance))} if process.worker else {}
            if process.worker and metrics:
                own[METRICS_ADDRESS] = metrics[instance]
            parser[f"program:{instance}"] = _program(home, process, instance, argv, own)


def _metrics_addresses(first: str) -> dict[str, str]:
    """Return an address for each worker: the one that is set, and the ports after it; none if none is set.

    What is no address is left as it is: the workers refuse it themselves, and name it.
    """
    host, _, port = first.rpartition(":")
    if not port.isdecimal():
        return {}
    workers = [name for process in PROCESSES.values() if process.worker for name in process.instances()]
    return {name: f"{host}:{int(port) + n}" for n, name in enumerate(workers)}


def _text(parser: configparser.RawConfigParser) -> str:
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _program(home: Home, process: Process, instance: str, argv: list[str], own: Mapping[str, str]) -> dict[str, str]:
    return {
        "command": _escaped(shlex.join(argv)),
        "directory": _escaped(ROOT),
        "autostart": "false",  # `up` starts them, in order
        "autorestart": "true",
        # A service imports modules for a second or two before it can fail; it counts as started only after that.
        "startsecs": "1" if process.server else "5",
        "startretries": str(START_RETRIES),
        "stopsignal": process.stop_signal,
        "stopwaitsecs": str(process.stop_seconds),
        "killasgroup": "true",
        "stdout_logfile": _escaped(_escaped(home.log(instance))),  # supervisord expands it twice
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "2",
        "redirect_stderr": "true",
        **({"environment": ",".join(f'{name}="{_escaped(value)}"' for name, value in own.items())} if own else {}),
    }


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


class Supervisor:
    """One home's supervisord."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._conf = home.supervisor / "supervisord.conf"

    def launch(self, processes: Iterable[Process], ports: Mapping[str, int], environment: Mapping[str, str]) -> None:
        """Start supervisord in the background, without any process yet."""
        write_private(self._conf, configuration(self._home, processes, ports, environment))
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._conf)]
        begun = subprocess.run(command, check=False, env=environment, cwd=ROOT, capture_output=True, text=True)
        if begun.returncode or not wait_until(self.is_running, HANGING_SECONDS):
            raise StackError(f"supervisord did not start.\n{begun.stdout}{begun.stderr}")

    def add(self, processes: Iterable[Process], ports: Mapping[str, int], user: Mapping[str, str]) -> None:
        """Add these processes to a running supervisord, without starting them yet."""
        processes = list(processes)
        parser = configparser.RawConfigParser()
        parser.read(self._conf)
        _add_programs(parser, self._home, processes, ports, user)
        write_private(self._conf, _text(parser))
        self._call("reloadConfig")
        for process in processes:
            for instance in process.instances():
                self._call("addProcessGroup", instance)

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        return self._conf.exists() and bool(self._try("getState"))

    def hears_beats(self, name: str) -> bool:
        """Whether this process writes a heartbeat; one that older code started does not."""
        parser = configparser.RawConfigParser()
        parser.read(self._conf)
        return heartbeat.FILE in parser.get(f"program:{name}", "environment", fallback="")

    def is_there(self) -> bool:
        """Whether supervisord lives, although it may be too busy to answer."""
        return self._pid() in owned.processes(self._home)

    def environment(self) -> dict[str, str]:
        """Return the environment with which supervisord was started, and starts processes; empty when it is gone."""
        return owned.environment(self._pid()) if self.is_there() else {}

    def _pid(self) -> int:
        file = self._home.supervisor / "supervisord.pid"
        return int(file.read_text() or 0) if file.exists() else 0

    def states(self) -> dict[str, dict[str, Any]]:
        """Return what supervisord knows of each process (`statename`, `pid`, …); empty when it does not run."""
        infos: Any = self._try("getAllProcessInfo") if self._conf.exists() else None
        return {info["name"]: info for info in infos or ()}

    def info(self, name: str) -> dict[str, Any]:
        """Return what supervisord knows of a process; raises `StackError` for an unknown one."""
        states = self.states()
        if name not in states:
            raise StackError(f"No {name} was started in {self._home.path}.")
        return states[name]

    def state(self, name: str) -> str:
        """Return supervisord's name for this process's state."""
        return str(self.info(name)["statename"])

    def start(self, names: Iterable[str]) -> None:
        """Start those of these processes that do not run."""
        for name in names:
            if self.state(name) not in ALIVE:
                process_log.mark_start(self._home.log(name))
                with suppress(_AlreadyStartedError):
                    self._call("startProcess", name, False)

    def stop(self, names: Iterable[str]) -> None:
        """Stop these processes in parallel, and wait until they have ended."""
        names = set(names)
        for name in names & self._alive():
            self._try("stopProcess", name, False)
        wait_until(lambda: not names & self._alive(), STOP_SECONDS)

    def _alive(self) -> set[str]:
        return {name for name, info in self.states().items() if info["statename"] in {*ALIVE, "STOPPING"}}

    def _try(self, method: str, *arguments: object) -> object:
        try:
            return self._call(method, *arguments)
        except StackError:
            return None

    def _call(self, method: str, *arguments: object) -> object:
        parser = configparser.RawConfigParser()
        try:
            parser.read(self._conf)
            door = parser["inet_http_server"]
            address = f"http://{door['username']}:{door['password']}@{door['port']}/RPC2"
            with ServerProxy(address, _Transport()) as server:
                return getattr(server.supervisor, method)(*arguments)
        except Fault as fault:
            kind = _AlreadyStartedError if fault.faultCode == ALREADY_STARTED else StackError
            raise kind(f"supervisord refuses: {fault.faultString}") from fault
        # After the machine was killed, the file may be damaged, and its port may belong to another process.
        except (OSError, Error, HTTPException, ExpatError, configparser.Error, KeyError) as error:
            raise StackError(f"supervisord doesn't answer: {error!r}") from error


class _AlreadyStartedError(StackError):
    """The process runs, or is being started."""


class _Transport(Transport):
    def make_connection(self, host: Any) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = CALL_SECONDS
        return connection
