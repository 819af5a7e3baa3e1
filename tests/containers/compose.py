"""Brings `docker-compose.saga.yml` up under a project name and ports of its own, for tests that break it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests

from shared.config import ROOT
from shared.testing import wait_until
from stack import ports
from stack.processes import PROCESSES

FILE = "docker-compose.saga.yml"
# Variables of this process that are passed on: no settings, and none of `.env`.
KEPT = re.compile(r"PATH|HOME|LANG|(DOCKER|BUILDKIT|BUILDX|XDG|SSH)_.*|(?i:.*_proxy)")
JOBS = ("-migrations", "-logins")
WATCHERS = ("PROMETHEUS_PORT", "GRAFANA_PORT", "JAEGER_PORT")  # no processes of ours
SECONDS = 600  # time limit of any command, so that nothing hangs; images may have to be downloaded
COMMANDS = (["docker", "compose"], ["docker-compose"])


@cache
def command() -> list[str] | None:
    """Return the command of Compose: what `COMPOSE` names, else v2, else v1; None without it or without an engine."""
    wanted = os.environ.get("COMPOSE")
    commands = [wanted.split()] if wanted else COMMANDS
    return next((each for each in commands if _goes(*each, "version")), None) if _goes("docker", "info") else None


def _goes(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class Containers:
    """The containers of a project, by their names in the compose file; a test that names one means its first copy.

    A `System` of a shop.
    """

    def __init__(self, project: str, settings: Path, env: Mapping[str, str]) -> None:
        """`settings` is an empty file in place of `.env`; `env` has the settings."""
        self.copy = 1  # the copy of each web process that tests call
        self._project, self._settings = project, settings
        self._mine = f"--filter=label=com.docker.compose.project={project}"
        published = [name for process in PROCESSES.values() for name, port in process.ports.items() if port]
        self._env = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)} | dict(env)
        self._env |= {name: str(ports.any_free()) for name in (*published, *WATCHERS)}

    def compose(self, *arguments: str) -> str:
        """Run a Compose command on the project; return its output."""
        files = ["-f", FILE, "--env-file", str(self._settings), "-p", self._project]
        return _run([*(command() or []), *files, *arguments], self._env)

    def up(self, copies: Mapping[str, int] | None = None, **env: str) -> None:
        """Start all containers, or scale them, and wait until they are well. `env` changes settings."""
        self._env |= env
        self.compose("up", "-d", *(f"--scale={name}={count}" for name, count in (copies or {}).items()))
        wait_until(lambda: self.unwell() == [], "every container is well", SECONDS)

    def down(self) -> None:
        """Stop and remove the project, with its data and images."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi=local")

    def left(self) -> str:
        """List what is left of it: containers, volumes, networks and images."""
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        images = docker("image", "ls", "--quiet", f"--filter=reference={self._project}*")
        return "".join(docker(*kind, "--quiet", self._mine) for kind in kinds) + images

    def all(self) -> dict[str, dict[str, Any]]:
        """Return the engine's description of each container, by its service and number: `pagos-worker 1`."""
        ids = docker("ps", "--all", "--quiet", self._mine).split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return {_name(container): container for container in found}

    def unwell(self) -> list[str]:
        """Return the containers that are not healthy, running or, of a job, done."""
        return [name for name, container in self.all().items() if not _is_well(name, container["State"])]

    def inside(self, name: str, command: str) -> str:
        """Run a command in a container."""
        return docker("exec", self._id(name), "sh", "-c", command)

    def crash(self, name: str) -> None:
        """SIGKILL all processes in the container; the engine takes this for a crash, and restarts it."""
        try:
            self.inside(name, "kill -9 -1")
        except subprocess.CalledProcessError as error:
            if error.returncode != 137:  # the command was killed, too
                raise

    # As a shop's system.

    @property
    def names(self) -> list[str]:
        """The names of the services' processes."""
        return [name for name, process in PROCESSES.items() if not process.server]

    @property
    def services(self) -> list[str]:
        """The same; a copy has the name with its number."""
        return self.names

    def url(self, name: str, setting: str = "") -> str:
        """Return the URL at which a web process is published, or the port that `setting` chooses."""
        first = int(self._env[setting or PROCESSES[name].port_setting].partition("-")[0])
        return f"http://127.0.0.1:{first + self.copy - 1}"

    def port_pairs(self) -> dict[str, str]:
        """Return settings that publish two copies of each web process."""
        return {PROCESSES[name].port_setting: _free_pair() for name in self.names if PROCESSES[name].ports}

    def kill(self, name: str) -> None:
        """SIGKILL it; the engine does not restart it."""
        docker("kill", "--signal=KILL", self._id(name))

    def freeze(self, name: str) -> None:
        """Freeze it."""
        docker("pause", self._id(name))

    def thaw(self, name: str) -> None:
        """Let it continue, if it was frozen."""
        if self.all()[_first(name)]["State"]["Paused"]:
            docker("unpause", self._id(name))

    def alive(self, name: str) -> bool:
        """Whether it runs; a frozen one does."""
        return bool(self.all()[_first(name)]["State"]["Running"])

    def restart(self, name: str, **env: str) -> None:
        """Restart it, with the settings that it has."""
        if env:
            raise ValueError("settings of containers are changed by `up`")
        docker("restart", self._id(name))

    def wait_healthy(self, name: str) -> None:
        """Wait until a web process answers that it is well."""
        if PROCESSES[name].ports:
            wait_until(lambda: _answers(f"{self.url(name)}/health"), f"{name} is well")

    def log(self, name: str) -> str:
        """Return the last lines of its copies' logs."""
        return self.compose("logs", "--no-color", "--tail=40", name)

    def story(self) -> str:
        """Describe what is not well, with the last lines of all logs."""
        return f"not well: {self.unwell()}\n" + "\n".join(map(self.log, self.names))

    def _id(self, name: str) -> str:
        return str(self.all()[_first(name)]["Id"])


@contextmanager
def deployed(name: str, folder: Path, env: Mapping[str, str]) -> Iterator[Containers]:
    """Build and start a project of this name for the block, with these settings; nothing is left of it then."""
    settings = folder / "env"
    settings.touch()
    deployment = Containers(f"{name}-{os.getpid()}", settings, env)
    try:
        deployment.compose("build")
        deployment.up()
        yield deployment
    finally:
        deployment.down()
    assert deployment.left() == ""


def docker(*arguments: str) -> str:
    """Run a Docker command; return its output."""
    return _run(["docker", *arguments])


def _run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, f"{done.stdout}\n{done.stderr}")
    return done.stdout


def _name(container: Mapping[str, Any]) -> str:
    labels = container["Config"]["Labels"]
    return f"{labels['com.docker.compose.service']} {labels['com.docker.compose.container-number']}"


def _first(name: str) -> str:
    return name if " " in name else f"{name} 1"


def _is_well(name: str, state: Mapping[str, Any]) -> bool:
    if any(job in name for job in JOBS):
        return (state["Status"], state["ExitCode"]) == ("exited", 0)
    return (state["Status"], state.get("Health", {}).get("Status", "healthy")) == ("running", "healthy")


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _free_pair() -> str:
    first = next(port for port in iter(ports.any_free, None) if ports.is_free(port + 1))
    return f"{first}-{first + 1}"
