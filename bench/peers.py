"""Runs DBOS beside the stack: `dbos_peer.py`, in its own environment, with a database of its own."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql

from stack import settings
from stack.errors import StackError
from stack.home import Home
from stack.ports import HOST, any_free, is_free
from stack.processes import PROCESSES
from stack.waiting import wait_until

DATABASE = "bench_dbos"
START_SECONDS = 60  # it creates its tables first
STOP_SECONDS = 10
PARTICIPANTS = ("carrito", "inventario", "pagos")


@dataclass(frozen=True)
class Peer:
    """The running process, and the URL at which it serves."""

    pid: int
    url: str


@contextmanager
def dbos(home: Home, urls: Mapping[str, str], database_url: str) -> Iterator[Peer]:
    """Run DBOS for the block, and remove its database afterwards. Raises `StackError` when it does not start."""
    python = home.path / "peers" / "bin" / "python"
    if not python.exists():
        raise StackError("DBOS is not installed: make bench PEERS=1")
    plain = database_url.replace("postgresql+psycopg2:", "postgresql:", 1)
    _drop_database(plain)
    port = any_free()
    command = [str(python), str(Path(__file__).with_name("dbos_peer.py"))]
    with subprocess.Popen(command, env=os.environ | _environment(urls, plain, port)) as process:  # noqa: S603  (ours)
        try:
            if not wait_until(lambda: process.poll() is not None or not is_free(port), START_SECONDS) or process.poll():
                raise StackError("DBOS did not start; see above.")
            yield Peer(process.pid, f"http://{HOST}:{port}")
        finally:
            process.kill()
            process.wait(STOP_SECONDS)
            _drop_database(plain)


def _environment(urls: Mapping[str, str], database_url: str, port: int) -> dict[str, str]:
    participants = {PROCESSES[name].url_setting: urls[name] for name in PARTICIPANTS}
    token = settings.user_settings().get("SERVICE_TOKEN", "")
    own = urlunsplit(urlsplit(database_url)._replace(path=f"/{DATABASE}"))
    return {**participants, "PORT": str(port), "DATABASE_URL": own, "SERVICE_TOKEN": token}


def _drop_database(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
