"""The PostgreSQL that a test run uses, and the databases that it creates there.

With `DATABASE_URL` it is that server; the run drops its databases at the end. Without, the first test that needs one
starts a private server, which ends with the run, however that ends.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from shared.config import ROOT
from shared.database.migrations import upgrade

# For the workers of pytest-xdist, which the process that creates the folder starts.
HOME = "CHECKOUT_TEST_HOME"
SERVICES = tuple(sorted(path.parent.parent.name for path in ROOT.glob("*/migrations/versions")))

# Waits until its standard input is closed, at the end of the run however that ends, and removes all of the run.
_GUARDIAN = """
cat >/dev/null
if [ -e "$1/server" ]; then "$0" -m tests.system.servers "$1"; fi
if [ -e "$1/private" ]; then "$0" -m stack down --home "$1" >/dev/null; fi
if ls -d "$1"/broker* >/dev/null 2>&1; then "$0" -m tests.system.brokers "$1"; fi
if ls -d "$1"/temporal* >/dev/null 2>&1; then "$0" -m tests.system.temporal "$1"; fi
rm -rf "$1"
"""


class TestRun:
    """One run of the tests: its folder, and everything started or created for it."""

    __test__ = False

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="checkout-tests-"))
        self.home.chmod(0o755)
        os.environ[HOME] = str(self.home)
        self._guardian = subprocess.Popen(
            ["sh", "-c", _GUARDIAN, sys.executable, self.home], stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )

    def end(self) -> None:
        """Drop what the run created on servers, stop its own servers, and remove its folder."""
        self._guardian.communicate()


class Databases:
    """The databases of this run; each is a copy of one with every service's schema."""

    def __init__(self) -> None:
        self._home = Path(os.environ[HOME])
        self._count = 0
        self._drops = ThreadPoolExecutor(1)
        with locked(self._home):
            self.server = _server(self._home)
            self._template = f"{prefix(self._home)}template"
            if not (self._home / "template").exists():
                _execute(self.server, f"CREATE DATABASE {self._template}")
                for service in SERVICES:
                    upgrade(service, url_of(self.server, self._template))
                (self._home / "template").touch()

    def create(self, *, empty: bool = False) -> str:
        """Create a database, migrated unless it is to be `empty`; return its URL."""
        self._count += 1
        name = f"{prefix(self._home)}{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{self._count}"
        template = "" if empty else f" TEMPLATE {self._template}"
        _execute(self.server, f"CREATE DATABASE {name}{template}")
        return url_of(self.server, name)

    def drop(self, url: str) -> None:
        """Drop a database, also with open connections; not waited for, since it takes a checkpoint."""
        self._drops.submit(_execute, self.server, f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        """Wait for the databases that are being dropped."""
        self._drops.shutdown()


def url_of(server: str, database: str) -> str:
    """Return the URL of a database of a server, with the driver's name."""
    url: URL = make_url(server).set(drivername="postgresql+psycopg2", database=database)
    return url.render_as_string(hide_password=False)


def prefix(home: Path) -> str:
    """Return the prefix of all names that this run uses on servers."""
    return home.name.replace("-", "_").lower() + "_"


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lock of the run's processes for the block."""
    with (home / "run.lock").open("w") as lock:  # the stack holds `lock` itself while it starts the server
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _server(home: Path) -> str:
    """Return the server's URL; call it under the lock."""
    known = home / "server"
    if not known.exists():
        known.write_text(os.environ.get("DATABASE_URL") or _start_private(home))
    return known.read_text()


def _start_private(home: Path) -> str:
    (home / "private").touch()
    command = [sys.executable, "-m", "stack", "servers", "--home", str(home), "--only", "postgres"]
    log = home / "servers.log"  # a file, since processes that stay would keep a pipe open
    with log.open("w") as output:
        started = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False)
    url = dotenv_values(home / "stack.env").get("DATABASE_URL") if started.returncode == 0 else None
    if url is None:
        raise RuntimeError(f"no private PostgreSQL; set DATABASE_URL to use one of yours\n{log.read_text()}")
    return url


@contextmanager
def _administration(server: str) -> Iterator[Connection]:
    """Open a connection that can create and drop databases."""
    engine = create_engine(url_of(server, make_url(server).database or "postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _execute(server: str, statement: str) -> None:
    with _administration(server) as connection:
        connection.execute(text(statement))


def _drop_all(home: Path) -> None:
    """Drop the databases of a run that has ended."""
    with suppress(OperationalError), _administration((home / "server").read_text()) as connection:
        ours = text("SELECT datname FROM pg_database WHERE starts_with(datname, :prefix)")
        for name in connection.scalars(ours, {"prefix": prefix(home)}).all():
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


if __name__ == "__main__":
    _drop_all(Path(sys.argv[1]))
