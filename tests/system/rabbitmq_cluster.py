"""Three RabbitMQ nodes on loopback, with a port mapper of their own, for tests that kill and freeze them."""

import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from stack import owned, ports, rabbitmq
from stack.home import MARKER, Home
from stack.ports import HOST
from stack.waiting import HANGING_SECONDS, wait_until
from tests.system.brokers import NoBroker

SIZE = 3
# A minority stops, as docs/operations.md has it. Nodes notice a frozen one in seconds, not in a minute.
CLUSTER = """\
cluster_partition_handling = pause_minority
net_ticktime = 8
cluster_formation.peer_discovery_backend = classic_config
"""
LISTENING = "0A"
LOOPBACK = {"0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF0000" + "0100007F"}  # as in /proc/net: of IPv4 and IPv6


@dataclass
class Node:
    """A node, which may have several lives."""

    name: str
    folder: Path
    port: int
    management_port: int
    distribution_port: int
    process: subprocess.Popen[bytes] | None = None


class RabbitMQCluster:
    """A cluster, each of whose nodes is a process of this one; every process of it bears the mark of its folder."""

    def __init__(self, folder: Path) -> None:
        scripts = rabbitmq.scripts_folder()
        if scripts is None:
            raise NoBroker("no RabbitMQ is installed")
        self._home, self._scripts = Home.at(folder), scripts
        self._port_mapper_port = ports.any_free()
        cookie = secrets.token_hex(20)
        self.nodes = {}
        for number in range(1, SIZE + 1):
            port, management_port, distribution_port = (ports.any_free() for _ in range(3))
            node = Node(f"r{number}@localhost", folder / f"r{number}", port, management_port, distribution_port)
            node.folder.mkdir()
            secret = node.folder / ".erlang.cookie"
            secret.write_text(cookie)
            secret.chmod(0o400)
            (node.folder / "server").symlink_to(scripts.parent)
            self.nodes[node.name] = node
        for node in self.nodes.values():
            self._configure(node)

    @property
    def url(self) -> str:
        """The URL with all nodes; a client notices within seconds that one is frozen."""
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.nodes.values())
        return f"amqp://guest:guest@{hosts}/%2F?heartbeat=4"

    def start(self) -> None:
        """Start all nodes, and wait until each sees the others."""
        for name in self.nodes:
            self.start_node(name)
        self.wait_whole()

    def start_node(self, name: str) -> None:
        """Start a node that does not run; it isn't waited for."""
        node = self.nodes[name]
        environment = self._environment(node)
        subprocess.run(["epmd", "-daemon"], env=environment, check=True, cwd=node.folder)
        with (node.folder / "log").open("a") as log:
            command = ["server/sbin/rabbitmq-server"]
            node.process = subprocess.Popen(command, cwd=node.folder, env=environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """SIGKILL a node; returns when it is dead."""
        process = self._process(name)
        process.kill()
        process.wait()

    def freeze(self, name: str) -> None:
        """SIGSTOP a node: its connections stay open, and it does nothing."""
        self._process(name).send_signal(signal.SIGSTOP)

    def restart(self, name: str) -> None:
        """SIGKILL a node, frozen or not, and start it; it isn't waited for.

        Others take a frozen node for dead. With Mnesia, before RabbitMQ 4, one that is thawed has to be started again.
        """
        self.kill(name)
        self.start_node(name)

    def queues(self, asked: str | None = None) -> list[dict[str, Any]]:
        """All queues with their `leader`, `members`, and those that are `online`, as a node that answers sees them."""
        found: list[dict[str, Any]] = self._get("queues", asked)
        return found

    def running(self, asked: str | None = None) -> set[str]:
        """The nodes that run, as a node that answers sees it."""
        return {node["name"] for node in self._get("nodes", asked) if node["running"] and not node.get("partitions")}

    def wait_whole(self) -> None:
        """Wait until every node sees all others, and every queue has all its members."""

        def whole() -> bool:
            with suppress(requests.RequestException):
                return all(self._is_whole(name) for name in self.nodes)
            return False

        if not wait_until(whole, HANGING_SECONDS / 5):
            raise AssertionError(f"the cluster is not whole: {self.logs()}")

    def _is_whole(self, name: str) -> bool:
        return self.running(name) == self.nodes.keys() and all(
            queue.get("members") and set(queue.get("online", ())) == set(queue["members"])
            for queue in self.queues(name)
        )

    def processes(self) -> set[int]:
        """Every process that was started for this cluster and still runs."""
        return owned.processes(self._home)

    def listeners(self) -> dict[str, bool]:
        """The local addresses on which its processes listen, as in /proc/net, and whether each is on loopback."""
        opened = {link for pid in self.processes() for link in _open_files(pid)}
        found = {}
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == LISTENING and f"socket:[{rest[5]}]" in opened:
                    found[local] = local.partition(":")[0] in LOOPBACK
        return found

    def close(self) -> None:
        """SIGKILL everything by its id, the port mapper too, until nothing is left."""

        def gone() -> bool:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.processes()

        if not wait_until(gone, 30):
            raise AssertionError(f"left of the cluster: {self.processes()}")
        for node in self.nodes.values():
            if node.process is not None:
                node.process.wait()

    def logs(self) -> str:
        """The end of what each node wrote."""
        texts = {name: node.folder / "log" for name, node in self.nodes.items()}
        return "\n".join(
            f"--- {name}\n" + "\n".join(text.read_text(errors="replace").splitlines()[-20:])
            for name, text in texts.items()
            if text.exists()
        )

    def _process(self, name: str) -> subprocess.Popen[bytes]:
        process = self.nodes[name].process
        if process is None:
            raise ProcessLookupError(name)
        return process

    def _get(self, what: str, asked: str | None) -> Any:
        """The answer of the management API, of one node or of the first that answers; raises `RequestException`."""
        failure: requests.RequestException | None = None
        for node in self.nodes.values() if asked is None else [self.nodes[asked]]:
            try:
                url = f"http://{HOST}:{node.management_port}/api/{what}"
                reply = requests.get(url, auth=("guest", "guest"), timeout=3)
                reply.raise_for_status()
            except requests.RequestException as error:
                failure = error
            else:
                return reply.json()
        raise failure or requests.RequestException("no node")

    def _configure(self, node: Node) -> None:
        text = rabbitmq.CONFIGURATION.format(host=HOST, port=node.port, management_port=node.management_port) + CLUSTER
        for number, name in enumerate(self.nodes, 1):
            text += f"cluster_formation.classic_config.nodes.{number} = {name}\n"
        (node.folder / "rabbitmq.conf").write_text(text)
        (node.folder / "enabled_plugins").write_text(rabbitmq.PLUGINS)

    def _environment(self, node: Node) -> dict[str, str]:
        told = {**os.environ, "RABBITMQ_DIST_PORT": str(node.distribution_port)}
        return rabbitmq.environment(self._home, self._scripts, told) | {
            MARKER: str(self._home.path),
            "HOME": str(node.folder),
            "ERL_CRASH_DUMP": str(node.folder / "erl_crash.dump"),
            "ERL_EPMD_PORT": str(self._port_mapper_port),
            "RABBITMQ_NODENAME": node.name,
        }


def _open_files(pid: int) -> Sequence[str]:
    links = []
    with suppress(OSError):  # it ended meanwhile
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                links.append(os.readlink(link))
    return links
