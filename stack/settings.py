"""The user's settings (environment, then `.env`), those that follow from them, and the environment of every process."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stack import ports
from stack.errors import StackError
from stack.home import MARKER, ROOT, Home, write_private
from stack.processes import PROCESSES, Process, select
from stack.temporal import ENGINE, ENGINE_SETTING
from stack.waiting import wait_until

if TYPE_CHECKING:
    from pydantic import SecretStr

# Setting -> the server that is not started when the user names another one.
SERVER_OF = {process.url_setting: process.name for process in PROCESSES.values() if process.server}

RELEASE_SECONDS = 2  # a killed process may hold its ports for a moment after it is gone from /proc


def read_env_file(path: Path) -> dict[str, str]:
    """Return the KEY=VALUE lines of a file, without quotes around values; empty when there is no such file."""
    settings = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not key.startswith("#"):
            settings[key.strip()] = _plain(value.strip())
    return settings


def _plain(value: str) -> str:
    if value[:1] in {"'", '"'}:
        return value[1:].partition(value[0])[0]
    return value.partition(" #")[0].strip()


def user_settings() -> dict[str, str]:
    """Return all settings of the user. A variable of the environment wins over `.env`; an empty one unsets it."""
    everything = read_env_file(ROOT / ".env") | os.environ
    return {name: value for name, value in everything.items() if value}


def names(variables: Iterable[str]) -> set[str]:
    """Return those of these variables that are settings: named in `.env.example`, or OpenTelemetry's own."""
    example = (ROOT / ".env.example").read_text()
    known = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    return {name for name in variables if name in known or name.startswith("OTEL_")}


def service_token() -> "SecretStr | None":
    """Return the token that services send with their requests."""
    from pydantic import SecretStr  # noqa: PLC0415  (the command line works before anything is installed)

    token = user_settings().get("SERVICE_TOKEN")
    return SecretStr(token) if token else None


def credentials() -> dict[str, str]:
    """Return the token as a header of a request; no header without a token."""
    token = service_token()
    return {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}


def processes_of(home: Home, settings: Mapping[str, str]) -> list[Process]:
    """Return the processes of a stack with these settings.

    A stack that had Temporal keeps it, so that the sagas that began there can end.
    """
    return select(engine=ENGINE if home.temporal.exists() else settings.get(ENGINE_SETTING, ""))


def ours(processes: Iterable[Process], settings: Mapping[str, str]) -> list[Process]:
    """Return the processes to start: all except servers that the user provides."""
    theirs = {server for setting, server in SERVER_OF.items() if settings.get(setting)}
    return [process for process in processes if process.name not in theirs]


def choose_ports(processes: Iterable[Process], settings: Mapping[str, str], *, private: bool) -> dict[str, int]:
    """Return the ports of these processes by setting: as set, else any free one if `private`, else the well-known one.

    0 stands for any free one. Raises `StackError`, which names every taken port, its holder, and the setting to change.
    """
    well_known = {name: port for process in processes for name, port in process.ports.items()}
    chosen = {name: _port(name, settings, 0 if private else port) for name, port in well_known.items()}
    _refuse_twins(chosen)

    def taken() -> list[str]:
        return [name for name, port in chosen.items() if port and not ports.is_free(port)]

    if not wait_until(lambda: not taken(), RELEASE_SECONDS):
        raise StackError(_taken({name: chosen[name] for name in taken()}))
    return {name: port or ports.any_free() for name, port in chosen.items()}


def _taken(taken: Mapping[str, int]) -> str:
    lines = [
        f"Port {port} is taken by {ports.holder(port)}. To use another: {name}=<port>" for name, port in taken.items()
    ]
    advice = "Stop those, set other ports in the environment or in .env, or have free ones chosen and remembered:"
    return "\n".join([*lines, advice, "  make demo PORTS=auto  (or make up PORTS=auto)"])


def _port(name: str, settings: Mapping[str, str], default: int) -> int:
    text = settings.get(name) or str(default)
    if not text.isdecimal() or int(text) > 65_535:
        raise StackError(f"{name} must be a port number (0 for any free one), not {text!r}.")
    return int(text)


def _refuse_twins(chosen: Mapping[str, int]) -> None:
    owners: dict[int, str] = {}
    for name, port in chosen.items():
        if port and owners.setdefault(port, name) != name:
            raise StackError(f"{owners[port]} and {name} are both {port}: give each a port of its own.")


def service_urls(chosen: Mapping[str, int], settings: Mapping[str, str]) -> dict[str, str]:
    """Return the URL of each web service: the one that the user set, else that of the started one."""
    return {
        process.url_setting: settings.get(process.url_setting) or f"http://{ports.HOST}:{chosen[process.port_setting]}"
        for process in PROCESSES.values()
        if not process.server and process.port_setting in chosen
    }


def environment(home: Home, settings: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every process: the user's settings, the stack's, and the stack's mark."""
    return {**settings, **told, MARKER: str(home.path), "PYTHONUNBUFFERED": "1"}


def write_env_file(home: Home, told: Mapping[str, str]) -> None:
    """Write the settings for programs that are started by hand; only the owner may read them, because of passwords."""
    write_private(home.env_file, "".join(f"{key}={shlex.quote(value)}\n" for key, value in told.items()))
