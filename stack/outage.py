"""A process that freezes, is killed in the middle of a checkout, and is started again by its supervisor."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from stack.home import Home
from stack.shop import Json
from stack.supervision import Supervisor
from stack.table import paint

STEP = "process_payment"


def can_happen(home: Home, process: str) -> bool:
    """Whether the process is one of this stack's."""
    return process in Supervisor(home).states()


class Outage:
    """Of one process and all its children; nobody knows it but its process group."""

    def __init__(self, home: Home, process: str) -> None:
        self._name = process
        self._pid = int(Supervisor(home).info(process)["pid"])
        self._killed = False

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It is there, and does nothing, until it is killed; whatever comes up, it isn't left like that."""
        self._tell(f"{self._name} (pid {self._pid}) is frozen: it is there, and does nothing (kill -STOP)")
        os.killpg(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if not self._killed:
                with suppress(ProcessLookupError):
                    os.killpg(self._pid, signal.SIGCONT)

    def kill_in_step(self, saga: Json) -> None:
        """Kill it as soon as the saga waits for it, once."""
        steps = {step["name"]: step["status"] for step in saga["steps"]}
        if steps[STEP] == "running" and not self._killed:
            self._killed = True
            os.killpg(self._pid, signal.SIGKILL)
            self._tell(f"{self._name} is killed in the middle of {STEP} (kill -9); its supervisor starts it again")

    def _tell(self, what: str) -> None:
        print(f"  {paint('*** ' + what, 'red')}", flush=True)
