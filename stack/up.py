"""`make up`: starts everything in order; only checks when it runs already."""

from stack import lifecycle, owned, remembered_ports, settings
from stack.home import Home, lock
from stack.processes import Process
from stack.status import show
from stack.supervision import Supervisor
from stack.temporal import ENGINE, ENGINE_SETTING


def up(home: Home, *, private: bool = False, auto: bool = False) -> None:
    """Start the whole stack and wait until every service is well; with `private`, on free ports.

    Raises `StackError` when a port is taken (before anything is started), or when a process does not start.
    """
    home.make()
    with lock(home.path / "lock"):
        user = settings.user_settings()
        processes = settings.processes_of(home, user)
        if Supervisor(home).is_running():
            told = settings.read_env_file(home.env_file)
            processes = [process for process in processes if not process.server or process.url_setting in told]
            _tell_changes(user, told)
            told = lifecycle.add_missing(home, processes, user, told, private=private)
        else:
            owned.stop(home)  # left by a supervisor that was killed, and may hold the ports
            ours = settings.ours(processes, user)
            if auto:
                remembered_ports.replace_taken(home, ours, user)
            told_ports = remembered_ports.settings_with_ports(home, user)
            ports = settings.choose_ports(ours, told_ports, private=private)
            print("Starting:", flush=True)
            told = lifecycle.launch(home, processes, user, ports)
        if _is_up(home, processes, told):
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


def _tell_changes(user: dict[str, str], told: dict[str, str]) -> None:
    changed = [name for name, value in told.items() if user.get(name, value) not in {value, "0"}]
    if user.get(ENGINE_SETTING) == ENGINE and ENGINE_SETTING not in told:
        changed.append(ENGINE_SETTING)
    if changed:
        print(f"It was started with other settings than now: {', '.join(changed)}. To apply them: make down up")
