"""The folder of a stack's files, and the mark by which its processes are recognized."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Every process of a stack has this variable, which names its home. By it, `down` finds what a stack started, also when
# the supervisor and all its files are gone.
MARKER = "SAGA_STACK_HOME"


@dataclass(frozen=True)
class Home:
    """The folder of one stack: `.local` in the checkout, or any other for tests. Two may run at once."""

    path: Path

    @classmethod
    def at(cls, path: str | Path | None = None) -> "Home":
        """The home at `path`; without one, `.local` in the checkout."""
        return cls(Path(path or ROOT / ".local").resolve())

    @classmethod
    def of_this_process(cls) -> "Home":
        """The home of the stack that started this process."""
        return cls.at(os.environ[MARKER])

    @property
    def env_file(self) -> Path:
        """The settings of the services, as KEY=VALUE lines; it exists while the stack is up."""
        return self.path / "stack.env"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.path / "logs"

    def log(self, instance: str) -> Path:
        """A process's log."""
        return self.logs / f"{instance}.log"

    def heartbeat(self, instance: str) -> Path:
        """The file that a worker updates while its loops make progress; see `shared/process/heartbeat.py`."""
        return self.supervisor / f"{instance}.heartbeat"

    @property
    def supervisor(self) -> Path:
        """The supervisor's configuration and the way to reach it."""
        return self.path / "supervisor"

    @property
    def postgres(self) -> Path:
        """The private PostgreSQL: cluster and password."""
        return self.path / "postgres"

    @property
    def rabbitmq(self) -> Path:
        """The private RabbitMQ node: configuration, cookie and queues."""
        return self.path / "rabbitmq"

    @property
    def temporal(self) -> Path:
        """The data of the private Temporal; exists once it was started."""
        return self.path / "temporal"

    def make(self) -> None:
        """Create the folders."""
        for folder in (self.logs, self.supervisor, self.postgres, self.rabbitmq):
            folder.mkdir(parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; only its owner may read it."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # otherwise a machine that is killed may leave an empty file
    new.replace(path)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock of this home for the block; others wait. The lock of a killed process is released."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
