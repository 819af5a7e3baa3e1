"""`make status` and `make logs`."""

import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from stack import health, owned, settings
from stack.errors import StackError
from stack.health import Condition, Info
from stack.home import Home
from stack.processes import PROCESSES, Process
from stack.supervision import Supervisor


def show(home: Home) -> None:
    """Print the processes with state, pid, port and URL."""
    states = Supervisor(home).states()
    if not states:
        left = len(owned.processes(home))
        print(
            f"The supervisor is gone; {left} processes are left: make up, or down" if left else "Not running: make up"
        )
        return
    told = settings.read_env_file(home.env_file)
    conditions = _conditions(home, states, told)
    rows: list[tuple[str, ...]] = [("process", "state", "pid", "port", "url")]
    for process in PROCESSES.values():
        rows += _rows(process, states, conditions, told)
    print()
    print(_table(rows))
    for name, condition in conditions.items():
        if condition.reason:
            print(f"\n{name} is {condition.state}: {condition.reason}")
            if condition.state == "hung":
                print(f"  To have it started again: kill -9 {states[name]['pid']}")
    print(f"\nLogs: make logs, or {home.logs}. Stop: make down")


def _conditions(home: Home, states: Mapping[str, Info], told: Mapping[str, str]) -> dict[str, Condition]:
    """Return the condition of each process; read in parallel, since a process may not answer."""
    ours = {name: process for process in PROCESSES.values() for name in process.instances() if name in states}

    def condition(name: str) -> Condition:
        return health.condition(home, ours[name], told, name, states[name])

    with ThreadPoolExecutor(len(ours)) as pool:
        return dict(zip(ours, pool.map(condition, ours), strict=True))


def _rows(
    process: Process, states: Mapping[str, Info], conditions: Mapping[str, Condition], told: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Return a row for each copy and each port."""
    port, url = told.get(process.port_setting, ""), _url(process, told)
    if process.server and process.name not in states:
        return [(process.name, "yours", "", "", url)] if url else []
    lines: list[tuple[str, ...]] = []
    for instance in sorted(states.keys() & process.instances()):
        state = states[instance]
        lines.append((instance, conditions[instance].state, str(state["pid"] or ""), port, url))
    if lines and "RABBITMQ_MANAGEMENT_PORT" in process.ports:
        port = told["RABBITMQ_MANAGEMENT_PORT"]
        lines.append(("", "", "", port, f"http://127.0.0.1:{port} (guest, guest)"))
    return lines


def _url(process: Process, told: Mapping[str, str]) -> str:
    """Return its URL without the password."""
    url = told.get(process.url_setting, "")
    password = urlsplit(url).password
    return url.replace(f":{password}@", "@") if password else url


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def follow_logs(home: Home, name: str | None) -> None:
    """Replace this process by `tail -F` of all logs, or of one process's."""
    logs = [log for log in sorted(home.logs.glob("*.log")) if name is None or _belongs(log.stem, name)]
    if not logs:
        raise StackError(f"No logs of {name or 'anything'}. There are: {', '.join(PROCESSES)}.")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, logs)])


def _belongs(stem: str, name: str) -> bool:
    return re.fullmatch(rf"{re.escape(name)}(-\d+)?", stem) is not None
