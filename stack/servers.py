"""The two servers, started privately: what `make up` begins with, and what tests use.

from stack import servers
told = servers.start(home, only=["postgres"])   # {"DATABASE_URL": ...}; also in <home>/stack.env
servers.kill(home, "postgres")                  # kill -9; it comes back by itself, on the same port
servers.stop_one(home, "postgres"); servers.start_one(home, "postgres")
servers.stop(home)                              # leaves nothing running
"""

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from stack import amqp, owned, postgres, rabbitmq, settings
from stack.errors import StackError
from stack.home import Home
from stack.processes import Process, select
from stack.supervision import Supervisor
from stack.waiting import await_ready, wait_until

NAMES = ("postgres", "rabbitmq")
# A cold machine may make a cluster, or recover one, before PostgreSQL answers.
POSTGRES_SECONDS, RABBITMQ_SECONDS = 90, 120


def start(home: Path, only: Iterable[str] = NAMES) -> dict[str, str]:
    """Start private servers on free ports (the user's own where DATABASE_URL or RABBITMQ_URL is set) and wait for them.

    Returns the URLs, and the ports of those started; a second call returns the same. StackError when one doesn't start.
    """
    at, user = Home.at(home), settings.user_settings()
    if Supervisor(at).is_running():
        return settings.read_env_file(at.env_file)
    processes = select(only)
    told = launch(at, processes, user, settings.choose_ports(settings.ours(processes, user), user, private=True))
    await_servers(at, processes, told)
    return told


def launch(
    home: Home, processes: Iterable[Process], user: Mapping[str, str], ports: Mapping[str, int]
) -> dict[str, str]:
    """Start supervisord for these processes and, of them, the servers. Returns what the services are told."""
    owned.stop(home)  # what a killed supervisor left behind
    home.make()
    told = {name: str(port) for name, port in ports.items()} | settings.service_urls(ports)
    started = settings.ours(processes, user)
    if "rabbitmq" in {process.name for process in started}:
        rabbitmq.provide()
    for variable, server in settings.SERVER_OF.items():
        if server in {process.name for process in processes}:
            told[variable] = user.get(variable) or private_url(home, server, ports)
    settings.write_env_file(home, told)
    if started:
        supervisor = Supervisor(home)
        supervisor.launch(started, ports, settings.environment(home, user, told))
        supervisor.start(p.name for p in started if p.server)
    return told


def private_url(home: Home, server: str, ports: Mapping[str, int]) -> str:
    """How the services reach our own server."""
    return {"postgres": postgres.url, "rabbitmq": rabbitmq.url}[server](home, ports[f"{server.upper()}_PORT"])


def await_servers(home: Home, processes: Iterable[Process], told: Mapping[str, str]) -> None:
    """Wait for each server of these, whether ours or not, until it answers."""
    names = {process.name for process in processes}
    if "postgres" in names:
        await_process(home, "postgres", lambda: postgres.is_ready(told["DATABASE_URL"]), POSTGRES_SECONDS)
    if "rabbitmq" in names:
        await_process(home, "rabbitmq", lambda: amqp.is_ready(told["RABBITMQ_URL"]), RABBITMQ_SECONDS)


def await_process(home: Home, name: str, is_ready: Callable[[], bool], seconds: float) -> None:
    """Wait until it is ready; StackError, with the last lines of its log, when it gives up or takes too long."""
    supervisor, starts = Supervisor(home), set()

    def check() -> bool:
        info = supervisor.states().get(name)
        if info:
            starts.add(info["start"])
            # One start may fail for what is over in a second, such as the end of a server that was killed.
            if info["statename"] == "FATAL" or len(starts) > 3:
                raise StackError(f"{name} does not start.")
        return is_ready()

    try:
        await_ready(name, check, seconds)
    except StackError as error:
        raise StackError(f"{error}\n{tail(home.logs / f'{name}.log')}") from error


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, with its name above them."""
    last = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else ["(nothing yet)"]
    return "\n".join([f"The last lines of {log}:", *(f"  | {line}" for line in last)])


def stop(home: Path) -> None:
    """Stop all that was started in this home; nothing of it is left running."""
    at = Home.at(home)
    supervisor = Supervisor(at)
    states = supervisor.states()
    # The services first, so that they can finish what they have begun.
    supervisor.stop(name for name in states if name not in NAMES)
    supervisor.stop(name for name in states if name in NAMES)
    if not owned.stop(at):
        raise StackError(f"Still running, whatever was tried: {sorted(owned.processes(at))}")
    at.env_file.unlink(missing_ok=True)


def start_one(home: Path, name: str) -> None:
    """Start a server again after `stop_one`, and wait until it answers."""
    at = Home.at(home)
    Supervisor(at).start([name])
    await_servers(at, select([name]), settings.read_env_file(at.env_file))


def stop_one(home: Path, name: str) -> None:
    """Stop a server, gracefully, until `start_one`."""
    Supervisor(Home.at(home)).stop([name])


def restart(home: Path, name: str) -> None:
    """Stop a server and start it again, on the same port."""
    stop_one(home, name)
    start_one(home, name)


def pid_of(home: Path, name: str) -> int:
    """The pid of a process; 0 when it doesn't run."""
    return int(Supervisor(Home.at(home)).states()[name]["pid"])


def kill(home: Path, name: str) -> int:
    """kill -9 a process and wait until the supervisor has noticed. It comes back; returns the pid it had."""
    pid = pid_of(home, name)
    os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: pid_of(home, name) != pid, 10):
        raise StackError(f"{name} did not end.")
    return pid
