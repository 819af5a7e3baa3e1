"""A PostgreSQL of a test module's own, which its tests may stop, kill, freeze and fill."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from stack import owned, servers
from stack.home import Home
from tests.system.servers import HOME, Databases

POSTGRES = "postgres"


class OwnPostgres:
    """The server; `home` is that of its stack."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", "")
            told = servers.start(home, only=[POSTGRES])
        self.url = told["DATABASE_URL"]
        (home / "server").write_text(self.url)

    def stop(self) -> None:
        """Stop it gracefully, until `start`."""
        servers.stop_one(self.home, POSTGRES)

    def start(self) -> None:
        """Start it after `stop` or `kill`; returns when it answers."""
        servers.start_one(self.home, POSTGRES)

    def kill(self) -> None:
        """SIGKILL it: what is not on its disk is lost. Its supervisor starts it again; `start` waits for that."""
        servers.kill(self.home, POSTGRES)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP the server and its children for the block: connections are accepted, and nothing is answered."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def ask(self, *statements: str, database: str = "postgres") -> None:
        """Execute these statements as superuser, whatever limits the database has."""
        url = make_url(self.url).set(username="postgres", database=database)
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            for statement in statements:
                connection.exec_driver_sql(statement)

    def cut_off(self, database: str) -> None:
        """End every other connection to a database."""
        others = f"datname = '{database}' AND pid <> pg_backend_pid()"
        self.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}", database=database)

    @contextmanager
    def on_small_disk(self, database: str) -> Iterator["Disk"]:
        """Put a database on a disk of few megabytes for the block; only root may."""
        folder = self.home / "small"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", folder], check=False).returncode:
            pytest.skip("may not mount a file system")
        try:
            os.chown(folder, (self.home / "postgres" / "data").stat().st_uid, -1)
            self.ask(f"CREATE TABLESPACE small LOCATION '{folder}'")
            self._move(database, "small")
            yield Disk(folder)
            self._move(database, "pg_default")
            self.ask("DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    def _move(self, database: str, tablespace: str) -> None:
        self.ask(f'ALTER DATABASE "{database}" CONNECTION LIMIT 0')
        self.cut_off(database)
        self.ask(f'ALTER DATABASE "{database}" SET TABLESPACE {tablespace}')
        self.ask(f'ALTER DATABASE "{database}" CONNECTION LIMIT -1')

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes: to the postmaster first, so that it starts no other meanwhile."""
        postmaster = servers.pid_of(self.home, POSTGRES)
        os.kill(postmaster, number)
        for pid in owned.postgres_processes(Home.at(self.home).postgres / "data") - {postmaster}:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class Disk:
    """A small disk that can be filled."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Fill it to the last byte."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass

    def free(self) -> None:
        """Free the space again."""
        self._ballast.unlink()


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    """A PostgreSQL of the test module's own; it takes seconds to start."""
    home = tmp_path_factory.mktemp("postgres")
    yield OwnPostgres(home)
    servers.stop(home)


@contextmanager
def databases_on(server: OwnPostgres) -> Iterator[Databases]:
    """Yield databases on this server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME, str(server.home))
        made = Databases()
    yield made
    made.close()


@pytest.fixture(scope="module")
def databases(own_postgres: OwnPostgres) -> Iterator[Databases]:
    """Databases on the module's own server."""
    with databases_on(own_postgres) as made:
        yield made
