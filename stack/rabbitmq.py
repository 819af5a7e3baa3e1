"""The private RabbitMQ node. `python -m stack.rabbitmq` prepares it, then executes the server in its place.

An installed RabbitMQ is used, or else the one unpacked from the distribution's packages. Every port is on loopback, and
the node has its own name, cookie, plugins and data, so it does not affect another RabbitMQ on this machine.
"""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import debian, owned, ports
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.ports import HOST

# All homes of a checkout share it, so it is downloaded once.
UNPACKED = ROOT / ".local" / "rabbitmq" / "dist"
CONFIGURATION = """\
listeners.tcp.default = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
default_user = guest
default_pass = guest
log.console = true
log.console.use_colors = off
log.file = false
# Of quorum queues' messages, this much is kept in memory before it is written out; the default is 512 MB.
raft.wal_max_size_bytes = 64000000
"""
PLUGINS = "[rabbitmq_management, rabbitmq_consistent_hash_exchange].\n"  # the second one is for PARTITIONS
ANSWER_SECONDS = 10  # the node is slow while other processes start on the machine
LOOPBACK_ONLY = f"-kernel inet_dist_use_interface {{{HOST.replace('.', ',')}}}"
# Erlang's idle schedulers would busy-wait, and take the processors from other processes.
NO_BUSY_WAIT = "+sbwt none +sbwtdcpu none +sbwtdio none"


def url(_home: Home, port: int) -> str:
    """Return the URL of the private node."""
    return f"amqp://guest:guest@{HOST}:{port}/%2F"


def is_ready(url: str) -> bool:
    """Whether a broker accepts connections at this URL.

    Imports the client here, since `make down` works without the project's libraries.
    """
    from shared.rabbitmq import can_connect  # noqa: PLC0415

    logging.getLogger("pika").setLevel(logging.CRITICAL)  # pika logs ten lines for each failed try
    return can_connect(url, ANSWER_SECONDS)


def provide() -> None:
    """Ensure that a RabbitMQ is installed; download it where that is possible."""
    if scripts_folder():
        return
    if not debian.is_debian():
        raise StackError(
            "Found no RabbitMQ. Install rabbitmq-server (Fedora: dnf install rabbitmq-server, "
            "Arch: pacman -S rabbitmq), or name a server: RABBITMQ_URL=..."
        )
    debian.unpack_rabbitmq(UNPACKED)


def scripts_folder() -> Path | None:
    """Return the folder of RabbitMQ's own scripts; those on the PATH are often wrappers for another user."""
    on_path = shutil.which("rabbitmq-server")
    installed = [Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), *([Path(on_path)] if on_path else [])]
    unpacked = (UNPACKED / "usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server")
    for script in (*installed, *unpacked):
        if (script.resolve().parent / "rabbitmq-env").exists():
            return script.resolve().parent
    return None


def configure(home: Home) -> None:
    """Write the node's configuration."""
    text = CONFIGURATION.format(
        host=HOST, port=os.environ["RABBITMQ_PORT"], management_port=os.environ["RABBITMQ_MANAGEMENT_PORT"]
    )
    (home.rabbitmq / "rabbitmq.conf").write_text(text)
    (home.rabbitmq / "enabled_plugins").write_text(PLUGINS)


def environment(home: Home, scripts: Path, settings: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the node's environment, without the user's RABBITMQ_ variables, which are for another node."""
    mine = {key: value for key, value in settings.items() if not key.startswith("RABBITMQ_")}
    if scripts.is_relative_to(UNPACKED):
        mine["PATH"] = f"{UNPACKED / 'usr/lib/erlang/bin'}:{mine['PATH']}"
        libraries = [str(folder) for folder in (UNPACKED / "usr/lib").glob("*-linux-*")]
        mine["LD_LIBRARY_PATH"] = ":".join([*libraries, mine.get("LD_LIBRARY_PATH", "")]).strip(":")
    return mine | {
        "HOME": str(home.rabbitmq),  # where Erlang creates its cookie
        "ERL_CRASH_DUMP": str(home.rabbitmq / "erl_crash.dump"),
        "ERL_EPMD_ADDRESS": HOST,
        "RUNNING_UNDER_SYSTEMD": "true",  # has RabbitMQ's scripts become the server; the supervisor handles signals
        "RABBITMQ_CONF_ENV_FILE": os.devnull,  # the system's file is for the system's node
        "RABBITMQ_NODENAME": "rabbit@localhost",  # does not depend on this machine's name, which may change
        "RABBITMQ_DIST_PORT": settings["RABBITMQ_DIST_PORT"],
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{LOOPBACK_ONLY} {NO_BUSY_WAIT}",
        # Relative to the working folder: RabbitMQ's scripts, and its call of df, can't handle a space in a path.
        "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
        "RABBITMQ_MNESIA_BASE": "/proc/self/cwd/mnesia",
        "RABBITMQ_LOG_BASE": ".",
    }


def refuse_foreign_port_mapper(home: Home) -> None:
    """Raise `StackError` when another process has the port of Erlang's port mapper, and the node would fail."""
    port = int(os.environ["ERL_EPMD_PORT"])
    ours = owned.processes(home)  # may be left by a killed node, which it outlives
    if not ports.is_free(port) and ours.isdisjoint(ports.holders(port)):
        raise StackError(
            f"Port {port}, of Erlang's port mapper (epmd), is taken by {ports.holder(port)}. "
            "Stop that, or choose another port: ERL_EPMD_PORT=<port>."
        )


def main() -> None:
    """Replace this process by the server."""
    home = Home.of_this_process()
    scripts = scripts_folder()
    if scripts is None:
        raise StackError("RabbitMQ is gone.")
    configure(home)
    told = environment(home, scripts)
    refuse_foreign_port_mapper(home)
    os.chdir(home.rabbitmq)
    link = Path("server")
    link.unlink(missing_ok=True)
    link.symlink_to(scripts.parent)
    # Start Erlang's port mapper, which tells nodes each other's ports. Started by RabbitMQ, it may fail.
    subprocess.run(["epmd", "-daemon"], env=told, check=True)
    os.execve("server/sbin/rabbitmq-server", ["server/sbin/rabbitmq-server"], told)


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        sys.exit(f"ERROR: {error}")
