"""`make up`: starts everything in order; only checks when it runs already."""

from stack import lifecycle, owned, remembered_ports, settings
from stack.errors import StackError
from stack.home import Home, lock
from stack.processes import Process
from stack.status import show
from stack.supervision import Supervisor
from stack.temporal import ENGINE, ENGINE_SETTING


def up(home: Home, *, private: bool = False, auto: bool = False) -> None:
    """Start the whole stack and wait until every service is well; with `private`, on free ports.

    Raises `StackError` when a port is taken (before anything is started), when a process does not start, and when an
    earlier `up` that has failed used other settings.
    """
    home.make()
    with lock(home.path / "lock"):
        user = settings.user_settings()
        processes = settings.processes_of(home, user)
        if Supervisor(home).is_running():
            told = settings.read_env_file(home.env_file)
            processes = [process for process in processes if not process.server or process.url_setting in told]
            different = changed(home, user, told)
            told = lifecycle.add_missing(home, processes, user, told, private=private)
        else:
            different = []
            owned.stop(home)  # left by a supervisor that was killed, and may hold the ports
            ours = settings.ours(processes, user)
            if auto:
                remembered_ports.replace_taken(home, ours, user)
            told_ports = remembered_ports.settings_with_ports(home, user)
            ports = settings.choose_ports(ours, told_ports, private=private)
            print("Starting:", flush=True)
            told = lifecycle.launch(home, processes, user, ports)
        is_up = _is_up(home, processes, told)
        if different:
            names = ", ".join(different)
            changes = f"It was started with other settings than now: {names}. To apply them: first make down"
            if not is_up:
                raise StackError(f"It is not quite up. {changes}")
            print(f"Already up. {changes}")
        elif is_up:
            print("Already up.")
        else:
            _start(home, processes, user, told)
    show(home)


def _start(home: Home, processes: list[Process], user: dict[str, str], told: dict[str, str]) -> None:
    supervisor = Supervisor(home)
    services = [process for process in processes if not process.server]
    supervisor.start(server for server in settings.SERVER_OF.values() if server in supervisor.states())
    lifecycle.await_server(home, "postgres", told)
    lifecycle.migrate(home, services, settings.environment(home, user, told))
    for process in processes:
        if process.server:
            lifecycle.await_server(home, process.name, told)
    supervisor.start(instance for process in services for instance in process.instances())
    for process in services:
        lifecycle.await_service(home, process, told)


def _is_up(home: Home, processes: list[Process], told: dict[str, str]) -> bool:
    states = Supervisor(home).states()
    services = [process for process in processes if not process.server]
    return all(info["statename"] == "RUNNING" for info in states.values()) and all(
        lifecycle.is_well(home, process, instance, told) for process in services for instance in process.instances()
    )


def changed(home: Home, user: dict[str, str], told: dict[str, str]) -> list[str]:
    """Return the names of the settings that are other ones now than those with which the processes are started.

    supervisord starts them all with its own environment. Of a port only one that it chose counts, and 0 is any.
    """
    found = [name for name, value in told.items() if user.get(name, value) not in {value, "0"}]
    if user.get(ENGINE_SETTING) == ENGINE and ENGINE_SETTING not in told:
        found.append(ENGINE_SETTING)
    begun = Supervisor(home).environment()
    others = {name for name in settings.names({*user, *begun}) if not name.endswith("_PORT")} - {*told, ENGINE_SETTING}
    return found + sorted(name for name in others if begun and user.get(name, "") != begun.get(name, ""))
