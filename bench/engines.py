"""Runs the built-in engine beside Temporal: the stack's orchestrator accepts for Temporal, a second one does not."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.peers import STOP_SECONDS, Peer
from stack import settings
from stack.errors import StackError
from stack.health import is_well
from stack.home import ROOT, Home
from stack.ports import HOST, any_free
from stack.processes import PROCESSES
from stack.temporal import ENGINE, ENGINE_SETTING
from stack.waiting import wait_until

START_SECONDS = 60
BUILTIN = "saga_orchestrator, built-in"  # in the list of components


@contextmanager
def builtin(home: Home, told: Mapping[str, str]) -> Iterator[Peer]:
    """Run an orchestrator with the built-in engine for the block. Raises `StackError` when it does not start."""
    if settings.read_env_file(home.env_file).get(ENGINE_SETTING) != ENGINE:
        raise StackError("The stack's engine is not Temporal: make down, then make bench ENGINE=temporal")
    process, port = PROCESSES["saga_orchestrator"], any_free()
    environment = {**settings.environment(home, told, {}), ENGINE_SETTING: "builtin"}
    with subprocess.Popen(process.argv(port), env=environment, cwd=ROOT, stdout=subprocess.DEVNULL) as running:  # noqa: S603  (ours)
        try:
            if not wait_until(lambda: running.poll() is not None or is_well(port), START_SECONDS) or running.poll():
                raise StackError("The orchestrator with the built-in engine did not start.")
            yield Peer(running.pid, f"http://{HOST}:{port}")
        finally:
            running.terminate()
            running.wait(STOP_SECONDS)
