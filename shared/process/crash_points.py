"""Named points at which a process can be told to die, as a crash would: no clean-up, no goodbye.

`FAULT_KILL_AT=pagos.before_answer` ends the process with SIGKILL when it gets there. `name#3` lets it pass twice.
With `FAULT_ONCE=<file>` it dies once in all its lives: whoever makes the file is the one to die.
"""

import itertools
import os
import signal

_target, _, _count = os.environ.get("FAULT_KILL_AT", "").partition("#")
_once = os.environ.get("FAULT_ONCE", "")
_visits = itertools.count(1)


def reach(point: str) -> None:
    """Die here if this is the point that was named."""
    if point == _target and next(_visits) == int(_count or 1) and _is_first():
        os.kill(os.getpid(), signal.SIGKILL)


def _is_first() -> bool:
    """Whether nobody died of this before; gunicorn starts a worker that died again, with the same environment."""
    if not _once:
        return True
    try:
        os.close(os.open(_once, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
