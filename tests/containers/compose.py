"""`docker-compose.saga.yml` brought up under a project name and on ports of its own, for tests that break it."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import requests

from shared.config import ROOT
from shared.testing import wait_until
from stack import ports
from stack.processes import PROCESSES

FILE = "docker-compose.saga.yml"
# Of our own environment; no settings, nor those of `.env`.
KEPT = re.compile(r"PATH|HOME|LANG|(DOCKER|BUILDKIT|BUILDX|XDG|SSH)_.*|(?i:.*_proxy)")
JOBS = ("-migrations", "-logins")
SECONDS = 600  # for anything, so that nothing hangs; images may have to be fetched
COMMANDS = (["docker", "compose"], ["docker-compose"])


@cache
def command() -> list[str] | None:
    """Compose: what `COMPOSE` names, else v2, else v1; None where there is none, or no engine that it could talk to."""
    wanted = os.environ.get("COMPOSE")
    commands = [wanted.split()] if wanted else COMMANDS
    return next((each for each in commands if _goes(*each, "version")), None) if _goes("docker", "info") else None


def _goes(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class Containers:
    """A project's containers, by the names of the compose file; where a test names one, it means the first copy.

    It has what `Shop` needs of a `RunningSystem`.
    """

    def __init__(self, project: str, settings: Path, env: Mapping[str, str]) -> None:
        """`settings` is an empty file, which stands for `.env`; `env` is what would be in it."""
        self.copy = 1  # of each web process, the one that tests call
        self._project, self._settings = project, settings
        self._mine = f"--filter=label=com.docker.compose.project={project}"
        published = [name for process in PROCESSES.values() for name, port in process.ports.items() if port]
        self._env = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)} | dict(env)
        self._env |= {name: str(ports.any_free()) for name in published}

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose's on the project; what it prints."""
        files = ["-f", FILE, "--env-file", str(self._settings), "-p", self._project]
        return _run([*(command() or []), *files, *arguments], self._env)

    def up(self, copies: Mapping[str, int] | None = None, **env: str) -> None:
        """Bring all of it up, or to this, and wait until it is well. `env` changes settings."""
        self._env |= env
        self.compose("up", "-d", *(f"--scale={name}={count}" for name, count in (copies or {}).items()))
        wait_until(lambda: self.unwell() == [], "every container is well", SECONDS)

    def down(self) -> None:
        """Stop and remove all of it, with its data and images."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi=local")

    def left(self) -> str:
        """What there is of it: containers, volumes, networks and images."""
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        images = docker("image", "ls", "--quiet", f"--filter=reference={self._project}*")
        return "".join(docker(*kind, "--quiet", self._mine) for kind in kinds) + images

    def all(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each container, by its service and number: `pagos-worker 1`."""
        ids = docker("ps", "--all", "--quiet", self._mine).split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return {_name(container): container for container in found}

    def unwell(self) -> list[str]:
        """The containers that are not as they should be: healthy, running, or, if a job, done."""
        return [name for name, container in self.all().items() if not _is_well(name, container["State"])]

    def inside(self, name: str, command: str) -> str:
        """Run something in a container."""
        return docker("exec", self._id(name), "sh", "-c", command)

    def crash(self, name: str) -> None:
        """SIGKILL for all that runs in it; the engine takes it for a crash, and starts it again."""
        try:
            self.inside(name, "kill -9 -1")
        except subprocess.CalledProcessError as error:
            if error.returncode != 137:  # it died of it, too
                raise

    # What a shop needs of a system

    @property
    def names(self) -> list[str]:
        """The services' processes."""
        return [name for name, process in PROCESSES.items() if not process.server]

    def url(self, name: str, setting: str = "") -> str:
        """Where a web process is published."""
        first = int(self._env[setting or PROCESSES[name].port_setting].partition("-")[0])
        return f"http://127.0.0.1:{first + self.copy - 1}"

    def port_pairs(self) -> dict[str, str]:
        """Settings that publish two copies of each web process."""
        return {PROCESSES[name].port_setting: _free_pair() for name in self.names if PROCESSES[name].ports}

    def kill(self, name: str) -> None:
        """SIGKILL; the engine lets it stay dead."""
        docker("kill", "--signal=KILL", self._id(name))

    def freeze(self, name: str) -> None:
        """It is there, and does nothing."""
        docker("pause", self._id(name))

    def thaw(self, name: str) -> None:
        """Let it go on, if it was frozen."""
        if self.all()[_first(name)]["State"]["Paused"]:
            docker("unpause", self._id(name))

    def alive(self, name: str) -> bool:
        """Whether it runs, be it frozen."""
        return bool(self.all()[_first(name)]["State"]["Running"])

    def restart(self, name: str) -> None:
        """Start it again."""
        docker("restart", self._id(name))

    def wait_healthy(self, name: str) -> None:
        """Wait until a web process answers that it is well."""
        if PROCESSES[name].ports:
            wait_until(lambda: _answers(f"{self.url(name)}/health"), f"{name} is well")

    def log(self, name: str) -> str:
        """The last lines of its copies."""
        return self.compose("logs", "--no-color", "--tail=40", name)

    def story(self) -> str:
        """What is not well, and what all of them wrote at last."""
        return f"not well: {self.unwell()}\n" + "\n".join(map(self.log, self.names))

    def _id(self, name: str) -> str:
        return str(self.all()[_first(name)]["Id"])


def docker(*arguments: str) -> str:
    """Run a command of Docker's; what it prints."""
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
