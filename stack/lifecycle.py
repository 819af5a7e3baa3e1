"""Starting and stopping a stack's processes, in order, and waiting for them."""

import http.client
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from stack import amqp, owned, postgres, rabbitmq, settings
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.ports import HOST
from stack.processes import Process
from stack.supervision import Supervisor
from stack.waiting import await_ready

# A cold machine may make a cluster, or recover one, before PostgreSQL answers.
POSTGRES_SECONDS, RABBITMQ_SECONDS, SERVICE_SECONDS = 90, 120, 60
THEIRS_SECONDS = 10  # a server that isn't ours should be there already
FAILED_STARTS = 2  # the first may fail for what is over in a second, such as the end of a process that was killed


def launch(
    home: Home, processes: Iterable[Process], user: Mapping[str, str], ports: Mapping[str, int]
) -> dict[str, str]:
    """Start supervisord for these processes, and the servers among them. Returns what every process is told."""
    home.make()
    processes = list(processes)
    started = settings.ours(processes, user)
    if any(process.name == "rabbitmq" for process in started):
        rabbitmq.provide()
    told = {name: str(port) for name, port in ports.items()} | settings.service_urls(ports, user)
    for process in processes:
        if process.server:
            told[process.url_setting] = user.get(process.url_setting) or _url_of_ours(home, process, ports)
    settings.write_env_file(home, told)
    if started:
        supervisor = Supervisor(home)
        supervisor.launch(started, ports, settings.environment(home, user, told))
        supervisor.start(process.name for process in started if process.server)
    return told


def _url_of_ours(home: Home, server: Process, ports: Mapping[str, int]) -> str:
    url = {"postgres": postgres.url, "rabbitmq": rabbitmq.url}[server.name]
    return url(home, ports[server.port_setting])


def await_server(home: Home, name: str, told: Mapping[str, str]) -> None:
    """Wait until a server answers, whether it is ours or not."""
    setting, is_ready, seconds = {
        "postgres": ("DATABASE_URL", postgres.is_ready, POSTGRES_SECONDS),
        "rabbitmq": ("RABBITMQ_URL", amqp.is_ready, RABBITMQ_SECONDS),
    }[name]
    url = told[setting]
    if name in Supervisor(home).states():
        await_process(home, name, lambda: is_ready(url), seconds)
        return
    where = urlsplit(url)
    try:
        await_ready(f"{name} at {where.hostname}", lambda: is_ready(url), THEIRS_SECONDS)
    except StackError as error:
        raise StackError(
            f"{setting} is set, but no {name} lets us in there ({where.hostname}:{where.port}). "
            "Unset it to have a private one."
        ) from error


def migrate(home: Home, processes: Iterable[Process], environment: Mapping[str, str]) -> None:
    """Bring every service's schema up to date, all at once; StackError with the log of one that fails."""
    packages = dict.fromkeys(process.package for process in processes if process.package)
    logs = {package: home.logs / f"{package}-init_db.log" for package in packages}
    with ExitStack() as files:
        running = {
            package: subprocess.Popen(
                [sys.executable, "-m", f"{package}.init_db"],
                env=environment,
                cwd=ROOT,
                stdout=files.enter_context(log.open("w")),
                stderr=subprocess.STDOUT,
            )
            for package, log in logs.items()
        }
        await_ready("migrations", lambda: all(p.poll() is not None for p in running.values()), SERVICE_SECONDS)
    for package, process in running.items():
        if process.returncode:
            raise StackError(f"{package}'s migration failed.\n{tail(logs[package])}")


def await_service(home: Home, process: Process, told: Mapping[str, str]) -> None:
    """Wait until a service answers that it is well, and a worker until it has stayed up for a second."""
    for instance in process.instances():
        await_process(home, instance, partial(is_well, home, process, instance, told), SERVICE_SECONDS)


def is_well(home: Home, process: Process, instance: str, told: Mapping[str, str]) -> bool:
    """Whether a service says that it is well, or a worker runs."""
    if process.url_setting:
        return _is_healthy(int(told[process.port_setting]))
    return Supervisor(home).state(instance) == "RUNNING"


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def await_process(home: Home, name: str, is_ready: Callable[[], bool], seconds: float) -> None:
    """Wait until it is ready; StackError, with the last lines of its log, when it gives up or takes too long."""
    supervisor = Supervisor(home)
    starts: set[int] = set()

    def check() -> bool:
        info = supervisor.states().get(name, {"start": 0, "statename": "gone"})
        starts.add(info["start"])
        if info["statename"] in {"gone", "FATAL"} or len(starts) > FAILED_STARTS:
            raise StackError(f"{name} does not start.")
        return is_ready()

    try:
        await_ready(name, check, seconds)
    except StackError as error:
        raise StackError(f"{error}\n{tail(home.logs / f'{name}.log')}") from error


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, with its name above them."""
    last = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else ["(nothing yet)"]
    return "\n".join([f"The last lines of {log}:", *(f"  | {line}" for line in last)])


def stop(home: Home) -> bool:
    """Stop all that was started in this home, whatever became of the supervisor. False when nothing ran."""
    running = bool(owned.processes(home))
    supervisor = Supervisor(home)
    states = supervisor.states()
    servers = {server for server in settings.SERVER_OF.values() if server in states}
    # The services first, so that they can finish what they have begun.
    supervisor.stop(states.keys() - servers)
    supervisor.stop(servers)
    if not owned.stop(home):
        raise StackError(f"Still running, whatever was tried: {sorted(owned.processes(home))}")
    home.env_file.unlink(missing_ok=True)
    return running
