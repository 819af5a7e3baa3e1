"""The RabbitMQ that a test run uses, and the virtual hosts that it makes there: each is a broker to itself.

With `RABBITMQ_URL` it is that server, if its management API can be reached (at `RABBITMQ_MANAGEMENT_URL`, or at the
usual port). Without, the first test that needs one starts a private server, which ends with the run.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

import pytest
import requests
from dotenv import dotenv_values

from shared.broker_nodes import node_urls
from shared.config import ROOT
from stack import debian, owned, servers
from stack.home import Home
from tests.system.servers import HOME, locked, prefix

SECONDS = 30
RABBITMQ = "rabbitmq"

needs_rabbitmq = pytest.mark.skipif(
    not (shutil.which("rabbitmq-server") or debian.is_debian() or os.environ.get("CI")),
    reason="no RabbitMQ is installed, and none can be unpacked on this system",
)


class NoBroker(Exception):
    """There is no RabbitMQ, or none in which virtual hosts can be created."""


class Broker:
    """A RabbitMQ server, and the virtual hosts of this run on it."""

    def __init__(self, url: str, management_url: str) -> None:
        self.url = url
        self.management_url = management_url
        self._count = 0

    def create(self) -> str:
        """Create a virtual host; return its URL."""
        self._count += 1
        name = f"{_prefix()}{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{self._count}"
        self._manage("PUT", f"vhosts/{name}")
        parts = urlsplit(self.url)
        return SplitResult(parts.scheme, parts.netloc, f"/{name}", "", "").geturl()

    def drop(self, url: str) -> None:
        """Remove a virtual host with all that is in it, whoever is still connected to it."""
        self._manage("DELETE", f"vhosts/{vhost_of(url)}")

    def restore(self, url: str) -> None:
        """Create a dropped virtual host again, empty."""
        self._manage("PUT", f"vhosts/{vhost_of(url)}")

    def drop_all(self, starting_with: str) -> None:
        """Remove all virtual hosts of this run."""
        for each in self._manage("GET", "vhosts").json():
            if each["name"].startswith(starting_with):
                self._manage("DELETE", f"vhosts/{quote(each['name'], safe='')}")

    def check(self) -> None:
        """Raises `NoBroker` unless virtual hosts can be made here."""
        try:
            self._manage("GET", "vhosts")
        except requests.RequestException as error:
            raise NoBroker(f"no management API at {self.management_url}; set RABBITMQ_MANAGEMENT_URL") from error

    def _manage(self, method: str, path: str) -> requests.Response:
        login = urlsplit(self.url)
        reply = requests.request(
            method,
            f"{self.management_url}/api/{path}",
            auth=(unquote(login.username or "guest"), unquote(login.password or "guest")),
            timeout=SECONDS,
        )
        reply.raise_for_status()
        return reply


def control(home: Path, *command: str, tool: str = "rabbitmqctl") -> None:
    """Call rabbitmqctl, or another tool of the server in this home, in the server's own environment."""
    process = Path(f"/proc/{servers.pid_of(home, RABBITMQ)}")
    environment = dict(each.split("=", 1) for each in (process / "environ").read_text().split("\0") if "=" in each)
    # Erlang puts its own folder first, whose programs do not know where it was unpacked.
    environment["PATH"] = ":".join(each for each in environment["PATH"].split(":") if "/erts-" not in each)
    folder = (process / "cwd").resolve()
    subprocess.run(
        [f"server/sbin/{tool}", "-q", *command], cwd=folder, env=environment, check=True, capture_output=True
    )


def sync(home: Path) -> None:
    """Have the server in this home write its tables to disk: it confirms new queues a moment before they are durable.

    RabbitMQ 3.10 never gets a queue back that was killed in this moment.
    """
    control(home, "eval", "[dets:sync(Table) || Table <- dets:all()].")


class OwnBroker(Broker):
    """A server that tests may stop, kill and freeze; it stays at its address."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="broker-", dir=os.environ[HOME]))
        self._home.chmod(0o755)
        super().__init__(*_start_private(self._home))

    def stop(self) -> None:
        """Stop it gracefully, until `start`."""
        servers.stop_one(self._home, RABBITMQ)

    def start(self) -> None:
        """Start it after `stop` or `kill`; returns when it accepts connections."""
        servers.start_one(self._home, RABBITMQ)

    def restart(self) -> None:
        """Stop it and start it."""
        servers.restart(self._home, RABBITMQ)

    def kill(self) -> None:
        """SIGKILL it, after `sync`. Its supervisor starts it again within seconds; `start` waits for that."""
        sync(self._home)
        servers.kill(self._home, RABBITMQ)

    def freeze(self) -> None:
        """SIGSTOP it: connections stay open, and nothing is answered."""
        os.kill(servers.pid_of(self._home, RABBITMQ), signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT it."""
        os.kill(servers.pid_of(self._home, RABBITMQ), signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze it for the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def control(self, *command: str, tool: str = "rabbitmqctl") -> None:
        """Call rabbitmqctl, or another one of the server's tools."""
        control(self._home, *command, tool=tool)

    def close(self) -> None:
        """Stop all of its processes."""
        end_private(self._home)


def broker_of_run() -> Broker:
    """Return this run's server; the first caller starts it. Raises `NoBroker`."""
    home = Path(os.environ[HOME])
    with locked(home):
        known = home / "broker.json"
        if not known.exists():
            theirs = os.environ.get("RABBITMQ_URL")
            known.write_text(
                json.dumps((theirs, _management_of(theirs)) if theirs else _start_private(home / "broker"))
            )
        broker = Broker(*json.loads(known.read_text()))
    broker.check()
    return broker


def vhost_of(url: str) -> str:
    """Return the name of the virtual host in a URL."""
    return unquote(urlsplit(url).path[1:]) or "/"


def _prefix() -> str:
    return prefix(Path(os.environ[HOME]))


def _management_of(url: str) -> str:
    return os.environ.get("RABBITMQ_MANAGEMENT_URL") or f"http://{urlsplit(node_urls(url)[0]).hostname}:15672"


def _start_private(home: Path) -> tuple[str, str]:
    """Start a private server; return its URL and that of its management API."""
    home.mkdir(exist_ok=True)
    (home / "private").touch()
    command = [sys.executable, "-m", "stack", "servers", "--home", str(home), "--only", RABBITMQ]
    environment = {**os.environ, "RABBITMQ_URL": ""}
    log = home / "servers.log"  # a file, since processes that stay would keep a pipe open
    with log.open("w") as output:
        started = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False)
    told = dotenv_values(home / "stack.env") if started.returncode == 0 else {}
    if told.get("RABBITMQ_URL") is None or told.get("RABBITMQ_MANAGEMENT_PORT") is None:
        raise NoBroker(f"no private RabbitMQ; set RABBITMQ_URL to use one of yours\n{log.read_text()}")
    return str(told["RABBITMQ_URL"]), f"http://127.0.0.1:{told['RABBITMQ_MANAGEMENT_PORT']}"


def end_private(home: Path) -> None:
    """Kill all processes of a stack: its data is not needed, and a graceful stop would take longer."""
    for pid in owned.processes(Home.at(home)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    servers.stop(home)


def _clean_up(home: Path) -> None:
    """Remove everything of a run that has ended."""
    for private in home.glob("broker*/private"):
        end_private(private.parent)
    known = home / "broker.json"
    if known.exists() and not (home / "broker" / "private").exists():
        with suppress(requests.RequestException):
            Broker(*json.loads(known.read_text())).drop_all(prefix(home))


if __name__ == "__main__":
    _clean_up(Path(sys.argv[1]))
