"""CPU time by component, of real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cpu import DRIVER, components, cpu_seconds
from shared.testing import wait_until
from stack.home import Home

BUSY_SECONDS = 0.2
BURN = f"import time; t = time.process_time() + {BUSY_SECONDS}\nwhile time.process_time() < t: pass\n"
WAIT = "print(flush=True); input()\n"


@contextmanager
def python(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has written a line, and continues until its input ends."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.communicate(b"\n")


def test_the_time_of_a_process_is_its_component_s() -> None:
    with python(BURN + WAIT) as busy, python(WAIT) as idle:
        seconds = cpu_seconds({busy.pid: "busy", idle.pid: "idle"})
    assert BUSY_SECONDS * 0.9 < seconds["busy"] < BUSY_SECONDS * 5
    assert seconds["idle"] < BUSY_SECONDS * 0.9


def test_copies_are_one_component() -> None:
    with python(BURN + WAIT) as one, python(BURN + WAIT) as other:
        assert cpu_seconds({one.pid: "copies", other.pid: "copies"})["copies"] > BUSY_SECONDS * 1.8


def test_children_count_also_those_that_ended() -> None:
    run = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])\n"
    with python(run + WAIT) as parent:
        assert cpu_seconds({parent.pid: "parent"})["parent"] > BUSY_SECONDS * 0.9


def test_a_child_that_is_a_component_of_its_own_is_not_its_parent_s() -> None:
    child = f"[sys.executable, '-c', {BURN + WAIT!r}]"
    start = f"import subprocess, sys; p = subprocess.Popen({child}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
    with python(start + "p.stdout.readline()\n" + WAIT) as parent:
        pid = wait_until(lambda: _children(parent.pid), "a child")[0]
        seconds = cpu_seconds({parent.pid: "parent", pid: "child"})
    assert seconds["child"] > BUSY_SECONDS * 0.9 > seconds["parent"]


def test_without_a_stack_of_ours_there_is_the_driver_alone(tmp_path: Path) -> None:
    assert components(Home.at(tmp_path)) == {os.getpid(): DRIVER}


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
