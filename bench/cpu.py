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
    """The component of each process that one begins with; a server that the stack didn't start is not among them.

    The copies of a process are one component. The supervisor's work is to write the logs.
    """
    found = {os.getpid(): DRIVER}
    names = {instance: process.name for process in PROCESSES.values() for instance in process.instances()}
    for instance, info in Supervisor(home).states().items():
        found[info["pid"]] = names[instance]
        found[_stat(info["pid"])[0]] = SUPERVISOR
    return found


def cpu_seconds(roots: Mapping[int, str]) -> dict[str, float]:
    """CPU seconds until now of these processes, by component: their own, their children's, and of those that ended."""
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
    """A process's parent, and the clock ticks that it and its children that ended have used; zeros when it is gone.

    See proc_pid_stat(5): the name in brackets may hold anything, so what counts is behind the last one.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), sum(map(int, fields[11:15]))
