"""CPU time by component, from /proc: every process that the stack started, with its children, and the driver."""

import os
from collections.abc import Mapping
from pathlib import Path

from stack.home import Home
from stack.processes import PROCESSES
from stack.supervision import Supervisor

DRIVER, SUPERVISOR = "driver", "supervisor"
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


def cpu_seconds(roots: Mapping[int, str]) -> dict[str, float]:
    """Return the CPU seconds so far of these processes and their children, also ended ones, by component."""
    stats = {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdecimal()}
    seconds = dict.fromkeys(roots.values(), 0.0)
    for pid, (_, ticks) in stats.items():
        component = _component(pid, roots, stats)
        if component:
            seconds[component] += ticks * TICK
    return seconds


def _component(pid: int, roots: Mapping[int, str], stats: Mapping[int, tuple[int, int]]) -> str | None:
    while pid not in roots:
        if pid not in stats:
            return None
        pid = stats[pid][0]
    return roots[pid]


def _stat(pid: int) -> tuple[int, int]:
    """Return a process's parent, and the clock ticks of it and its ended children; zeros when it does not exist.

    See proc_pid_stat(5): the name in brackets may contain anything, so the fields begin after the last bracket.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), sum(map(int, fields[11:15]))
