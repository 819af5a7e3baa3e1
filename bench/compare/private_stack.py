"""The private stack of a comparison: fresh, on free ports, with fault switches, and without the user's settings."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import health, lifecycle, rabbitmq, settings
from stack.audit import run as audit
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.processes import PROCESSES
from stack.supervision import Supervisor
from stack.up import up
from stack.waiting import HANGING_SECONDS, wait_until

OURS = ROOT / ".local" / "compare"
TOKENS = ("ADMIN_TOKEN", "SERVICE_TOKEN")


@dataclass(frozen=True)
class PrivateStack:
    """A running stack; `told` is its processes' environment, `urls` are its services' URLs by name."""

    home: Home
    told: Mapping[str, str]
    urls: Mapping[str, str]

    def stop(self, names: Sequence[str]) -> None:
        """Stop these processes by SIGTERM; returns when they have ended."""
        Supervisor(self.home).stop(names)

    def start(self, names: Sequence[str]) -> None:
        """Start them again; returns when they are well. Raises `StackError` when they do not become so."""
        Supervisor(self.home).start(names)
        if not wait_until(lambda: all(map(self._works, names)), HANGING_SECONDS):
            raise StackError(f"{', '.join(names)} did not come back; logs are in {self.home.logs}")

    def _works(self, name: str) -> bool:
        """Whether it answers or its loops make progress; supervisord reports it as running only seconds later."""
        if name == "rabbitmq":
            return rabbitmq.is_ready(self.told["RABBITMQ_URL"])
        info = {**Supervisor(self.home).info(name), "statename": "RUNNING"}
        return health.condition(self.home, PROCESSES[name], self.told, name, info) == health.RUNNING


@contextmanager
def private_stack(path: Path | None = None) -> Iterator[PrivateStack]:
    """Run a stack for the block, in an empty folder or the last one's; leaves only its logs. Raises `StackError`."""
    if path is not None and path.exists() and any(path.iterdir()):
        raise StackError(f"{path} is not empty")
    home = Home.at(path or OURS)
    if path is None:
        lifecycle.stop(home)  # processes of an earlier run that was killed
        shutil.rmtree(home.path, ignore_errors=True)
    _forget_what_the_user_set()
    try:
        up(home, private=True)
        yield PrivateStack(home, settings.read_env_file(home.env_file), audit.urls_of(home))
    finally:
        lifecycle.stop(home)
        for folder in (home.postgres, home.rabbitmq):
            shutil.rmtree(folder, ignore_errors=True)


def _forget_what_the_user_set() -> None:
    """Remove the user's servers, ports and tokens from this process's environment; other settings stay."""
    names = {*TOKENS, *(name for process in PROCESSES.values() for name in (process.url_setting, *process.ports))}
    names |= {f"{process.package.upper()}_DATABASE_URL" for process in PROCESSES.values() if process.package}
    os.environ.update(dict.fromkeys(names - {""}, ""), FAULTS="true")
