"""Starts the services' processes quickly: it imports their modules once, and forks each process.

The result is that of `python -m gunicorn …`, in a tenth of the time. This works since the modules do nothing when they
are imported. Two modules read the environment then: `crash_points` reads it again in each process, and the files of
settings that `shared.config` reads are none, here and there.

`python -m tests.system.spawner` takes one JSON request a line on its standard input, and answers each with a line. When
the input is closed it kills everything that it started.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.process import crash_points
from stack.processes import PROCESSES

IMPORTED = (
    "alembic.command",
    "flask_openapi",
    "flask_sqlalchemy",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gthread",
    "pika",
    "prometheus_client",
    "pydantic_settings",
    "requests",
    "simplejson",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "structlog",
    "tenacity",
    *(f"{name}.app" for name, process in PROCESSES.items() if process.ports and not process.server),
)
_PR_SET_CHILD_SUBREAPER = 36  # processes that a killed gunicorn leaves become this process's children, and are reaped
_ended: dict[int, int] = {}


def main() -> None:
    """Answer requests until the input ends."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then close this input
    signal.signal(signal.SIGCHLD, _reap)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # otherwise each child's collector would visit, and so copy, every shared page
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        answer = {"pid": _start(request)} if "argv" in request else {"status": _ended.get(request["pid"])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    _kill_all()


def _reap(*_: object) -> None:
    try:
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            _ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    except ChildProcessError:
        return


def _kill_all() -> None:
    """Kill all children, and the processes that become children when their parents die; no others.

    Not by the ids that were given out: the system may have reused them.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _start(request: Mapping[str, Any]) -> int:
    """Fork a process that runs `python -m <module> <arguments>`; its process group has its id."""
    python, dash_m, module, *arguments = request["argv"]
    if (python, dash_m) != (sys.executable, "-m"):
        raise ValueError(f"not a python -m command: {request['argv']}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it may end before an earlier id is forgotten
    pid = os.fork()
    os.setpgid(pid, pid)  # in both processes, so that it is done whichever continues first
    _ended.pop(pid, None)  # an earlier process with this id
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    if pid:
        return pid
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["env"])
    importlib.reload(crash_points)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
