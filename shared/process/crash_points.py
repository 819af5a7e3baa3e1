"""Named points at which tests kill a process, without any clean-up, as a crash would.

`FAULT_KILL_AT=pagos.before_answer` ends the process with SIGKILL when it reaches that point; `name#3` means the third
time. With `FAULT_ONCE=<file>` only the process that creates the file is killed, and not its successors.
"""

import itertools
import os
import signal

_target, _, _count = os.environ.get("FAULT_KILL_AT", "").partition("#")
_once = os.environ.get("FAULT_ONCE", "")
_visits = itertools.count(1)


def reach(point: str) -> None:
    """Kill this process if the setting names this point."""
    if point == _target and next(_visits) == int(_count or 1) and _is_first():
        os.kill(os.getpid(), signal.SIGKILL)


def _is_first() -> bool:
    """Whether no process was killed before; gunicorn restarts a killed worker with the same environment."""
    if not _once:
        return True
    try:
        os.close(os.open(_once, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
