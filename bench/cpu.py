"""CPU time and wake-ups by component, from /proc: all processes of the stack, with their children, and the driver."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stack.home import Home
from stack.processes import PROCESSES
from stack.supervision import Supervisor

DRIVER, SUPERVISOR = "driver", "supervisor"
POSTGRES = "postgres"
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds; /proc counts in these


def components(home: Home) -> dict[int, str]:
    """Return the component of each process; a server that the stack did not start has none.

    The copies of a process are one component. The supervisor's work is to write the logs.
    """
    found = {os.getpid(): DRIVER}
    names = {instance: process.name for process in PROCESSES.values() for instance in process.instances()}
    for instance, info in Supervisor(home).states().items():
        found[info["pid"]] = names[instance]
        found[_stat(info["pid"])[0]] = SUPERVISOR
    return found


def with_backends(components: Mapping[int, str], backends: Mapping[int, str]) -> dict[int, str]:
    """Add a component for each client of the stack's PostgreSQL, and one for all connections that only listen.

    `backends` has the clients' names by the pids of the server's processes.
    """
    if POSTGRES not in components.values():
        return dict(components)
    clients = {pid: "listen" if name.startswith("listen ") else name or "other" for pid, name in backends.items()}
    return {**components, **{pid: f"{POSTGRES}: {client}" for pid, client in clients.items()}}


def cpu_seconds(roots: Mapping[int, str]) -> dict[str, float]:
    """Return the CPU seconds so far of these processes and their children, also ended ones, by component."""
    stats = _stats()
    return _by_component(roots, stats, {pid: ticks * TICK for pid, (_, ticks) in stats.items()})


def wake_ups(roots: Mapping[int, str]) -> dict[str, float]:
    """Return the voluntary context switches so far of these processes and their children, by component.

    Every wait ends with a wake-up. Those of ended threads and processes are not included.
    """
    stats = _stats()
    return _by_component(roots, stats, {pid: _switches(pid) for pid in stats})


def _by_component(
    roots: Mapping[int, str], stats: Mapping[int, tuple[int, int]], values: Mapping[int, float]
) -> dict[str, float]:
    sums = dict.fromkeys(roots.values(), 0.0)
    for pid, value in values.items():
        component = _component(pid, roots, stats)
        if component:
            sums[component] += value
    return sums


def _component(pid: int, roots: Mapping[int, str], stats: Mapping[int, tuple[int, int]]) -> str | None:
    while pid not in roots:
        if pid not in stats:
            return None
        pid = stats[pid][0]
    return roots[pid]


def _stats() -> dict[int, tuple[int, int]]:
    return {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdecimal()}


def _switches(pid: int) -> int:
    """Return the voluntary context switches of a process's threads; see proc_pid_status(5)."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):  # the thread has ended
            count += int(status.read_text(errors="replace").partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return count


def _stat(pid: int) -> tuple[int, int]:
    """Return a process's parent, and the clock ticks of it and its ended children; zeros when it does not exist.

    See proc_pid_stat(5): the name in brackets may contain anything, so the fields begin after the last bracket.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), sum(map(int, fields[11:15]))
