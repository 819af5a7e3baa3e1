"""Starting and stopping a stack's processes, in order, and waiting for them."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

from stack import health, owned, postgres, process_log, rabbitmq, settings, temporal
from stack.errors import NotReadyError, StackError
from stack.health import Info
from stack.home import ROOT, Home
from stack.processes import Process
from stack.supervision import Supervisor
from stack.temporal import ENGINE_SETTING
from stack.waiting import await_ready

THEIRS_SECONDS = 30  # a server that the stack did not start should already run
FAILED_STARTS = 2  # the first may fail for a passing cause, such as a killed process that is still ending


def launch(
    home: Home, processes: Iterable[Process], user: Mapping[str, str], ports: Mapping[str, int]
) -> dict[str, str]:
    """Start supervisord for these processes, and the servers among them; return the environment of all processes."""
    home.make()
    processes = list(processes)
    started = settings.ours(processes, user)
    if any(process.name == "rabbitmq" for process in started):
        rabbitmq.provide()
    if any(process.name == "temporal" for process in started):
        temporal.provide()
    told = {name: str(port) for name, port in ports.items()} | settings.service_urls(ports, user)
    for process in processes:
        if process.server:
            told[process.url_setting] = user.get(process.url_setting) or _url_of_ours(home, process, ports)
    if ENGINE_SETTING in user:
        told[ENGINE_SETTING] = user[ENGINE_SETTING]
    settings.write_env_file(home, told)
    if started:
        supervisor = Supervisor(home)
        supervisor.launch(started, ports, settings.environment(home, user, told))
        supervisor.start(process.name for process in started if process.server)
    return told


def add_missing(
    home: Home, processes: Iterable[Process], user: Mapping[str, str], told: Mapping[str, str], *, private: bool
) -> dict[str, str]:
    """Add services that a stack of an older version lacks; return the environment of all processes."""
    known = Supervisor(home).states()
    missing = [each for each in processes if not each.server and not known.keys() & set(each.instances())]
    if not missing:
        return dict(told)
    ports = settings.choose_ports(missing, user, private=private)
    now = {**told, **{name: str(port) for name, port in ports.items()}, **settings.service_urls(ports, user)}
    settings.write_env_file(home, now)
    Supervisor(home).add(missing, ports, user)
    return now


def _url_of_ours(home: Home, server: Process, ports: Mapping[str, int]) -> str:
    url = {"postgres": postgres.url, "rabbitmq": rabbitmq.url, "temporal": temporal.url}[server.name]
    return url(home, ports[server.port_setting])


def await_server(home: Home, name: str, told: Mapping[str, str]) -> None:
    """Wait until a server answers, whether the stack started it or not."""
    setting, is_ready = {
        "postgres": ("DATABASE_URL", postgres.is_ready),
        "rabbitmq": ("RABBITMQ_URL", rabbitmq.is_ready),
        "temporal": ("TEMPORAL_ADDRESS", temporal.is_ready),
    }[name]
    url = told[setting]
    if name in Supervisor(home).states():
        await_process(home, name, lambda: is_ready(url))
        return
    where = urlsplit(url).netloc.rpartition("@")[2] or url  # without the login; RabbitMQ may have several hosts
    checks: list[Callable[[str], bool]] = [is_ready]
    if name == "postgres":
        checks.append(_refuse_missing_database)
    turns = cycle(checks)  # one check at each poll, since each connects to the server
    try:
        await_ready(f"{name} at {where}", lambda: next(turns)(url), THEIRS_SECONDS)
    except NotReadyError as error:
        raise StackError(
            f"{setting} is set, but no {name} lets us in there ({where}). Unset it to have a private one."
        ) from error


def _refuse_missing_database(url: str) -> bool:
    """Raise `StackError` when PostgreSQL answers and lacks the database, so that waiting is useless.

    Else return False: only a connection to the database itself tells whether it lets us in.
    """
    database = postgres.missing_database(url)
    if database is not None:
        raise StackError(
            f'PostgreSQL at {urlsplit(url).hostname} has no database "{database}", which DATABASE_URL names. '
            f"Make it (createdb {shlex.quote(database)}), or name another."
        )
    return False


def migrate(home: Home, processes: Iterable[Process], environment: Mapping[str, str]) -> None:
    """Migrate the schemas of all services in parallel; raise `StackError` with the log of one that fails."""
    packages = dict.fromkeys(process.package for process in processes if process.package)
    logs = {package: home.log(f"{package}-init_db") for package in packages}
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
        try:
            await_ready("migrations", lambda: _all_done(running, logs), state=lambda: f"{_under_way(running)} not done")
        finally:
            for process in running.values():
                process.kill()  # each migration is one transaction; no effect on processes that ended
                process.wait()


def _all_done(running: Mapping[str, subprocess.Popen[bytes]], logs: Mapping[str, Path]) -> bool:
    """Whether all have succeeded; raises `StackError` as soon as one has failed."""
    for package, process in running.items():
        if process.poll():
            raise StackError(f"{package}'s migration failed.\n{process_log.why(logs[package])}")
    return not _under_way(running)


def _under_way(running: Mapping[str, subprocess.Popen[bytes]]) -> str:
    return ", ".join(package for package, process in running.items() if process.poll() is None)


def await_service(home: Home, process: Process, told: Mapping[str, str]) -> None:
    """Wait until a service is healthy, or a worker's loops make progress."""

    def trouble(instance: str, info: Info) -> str:
        return health.condition(home, process, told, instance, info).reason

    for instance in process.instances():
        await_process(home, instance, partial(is_well, home, process, instance, told), partial(trouble, instance))


def is_well(home: Home, process: Process, instance: str, told: Mapping[str, str]) -> bool:
    """Whether a process runs and is well."""
    info = Supervisor(home).states().get(instance)
    return info is not None and health.condition(home, process, told, instance, info) == health.RUNNING


def await_process(
    home: Home, name: str, is_ready: Callable[[], bool], trouble: Callable[[Info], str] = lambda _: ""
) -> None:
    """Wait until a process is ready, as long as it lives.

    Raises `StackError` with its first error when it ended, or ends repeatedly.
    """
    supervisor = Supervisor(home)
    starts: set[int] = set()

    def check() -> bool:
        states = supervisor.states()
        if not states and supervisor.is_there():
            return False  # too busy to answer
        info = states.get(name, {"start": 0, "statename": "gone"})
        starts.add(info["start"])
        if info["statename"] in {"gone", "FATAL"} or len(starts) > FAILED_STARTS:
            raise StackError(f"{name} does not start.")
        return is_ready()

    def state() -> str:
        info = supervisor.states().get(name)
        if info is None:
            return "supervisord does not answer"
        told = f"{info['statename'].lower()}, pid {info['pid'] or 'none'}"
        return "; ".join(filter(None, [told, trouble(info), process_log.last_line(home.log(name))]))

    try:
        await_ready(name, check, state=state)
    except StackError as error:
        raise StackError(f"{error}\n{process_log.why(home.log(name))}") from error


def stop(home: Home) -> bool:
    """Stop all processes of this home, also without its supervisor; False when none ran."""
    running = bool(owned.processes(home))
    supervisor = Supervisor(home)
    states = supervisor.states()
    servers = {server for server in settings.SERVER_OF.values() if server in states}
    # Services first, so that they can finish their work.
    supervisor.stop(states.keys() - servers)
    supervisor.stop(servers)
    if not owned.stop(home):
        raise StackError(f"Still running, whatever was tried: {sorted(owned.processes(home))}")
    home.env_file.unlink(missing_ok=True)
    return running
