"""Ports that `PORTS=auto` chose; they are kept beside the stack, which uses them again when it starts again."""

from collections.abc import Iterable, Mapping

from stack import owned, ports, settings
from stack.home import Home, write_private
from stack.processes import Process

FILE = "ports.env"


def settings_with_ports(home: Home, user: Mapping[str, str]) -> dict[str, str]:
    """Return the user's settings, with the remembered ports that the user did not set."""
    return {**settings.read_env_file(home.path / FILE), **user}


def replace_taken(home: Home, processes: Iterable[Process], user: Mapping[str, str]) -> None:
    """Choose and remember a free port in place of each that is taken, except those that the user set."""
    known = settings_with_ports(home, user)
    wanted = {name: int(known.get(name, port)) for process in processes for name, port in process.ports.items()}
    taken = [name for name, port in wanted.items() if name not in user and port and not ports.is_free(port)]
    remembered = settings.read_env_file(home.path / FILE) | {name: str(ports.any_free()) for name in taken}
    home.make()
    write_private(home.path / FILE, "".join(f"{name}={port}\n" for name, port in remembered.items()))


def check(home: Home, *, auto: bool) -> None:
    """Raise `StackError` when ports are taken; with `auto`, remember free ones. Does nothing while the stack runs."""
    if owned.processes(home):
        return
    user = settings.user_settings()
    processes = settings.ours(settings.processes_of(home, user), user)
    if auto:
        replace_taken(home, processes, user)
    settings.choose_ports(processes, settings_with_ports(home, user), private=False)
