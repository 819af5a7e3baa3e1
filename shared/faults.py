"""Named points at which a process can be told to die, as a crash would: no clean-up, no goodbye.

`FAULT_KILL_AT=pagos.before_answer` ends the process with SIGKILL when it gets there. `name#3` lets it pass twice.
"""

import itertools
import os
import signal

_target, _, _count = os.environ.get("FAULT_KILL_AT", "").partition("#")
_visits = itertools.count(1)


def reach(point: str) -> None:
    """Die here if this is the point that was named."""
    if point == _target and next(_visits) == int(_count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
