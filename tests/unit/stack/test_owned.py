import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import owned
from stack.home import MARKER, Home

WAITING = [sys.executable, "-c", "input()"]


@contextmanager
def started(**environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(WAITING, env=environment, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_what_carries_the_mark_is_ours_and_nothing_else(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with started(**{MARKER: str(tmp_path)}) as ours, started(**{MARKER: f"{tmp_path}-2"}), started():
        assert owned.processes(home) == {ours.pid}


def test_a_stack_that_is_stopped_from_within_leaves_its_caller(tmp_path: Path) -> None:
    ask = f"from stack import owned; from stack.home import Home; print(owned.processes(Home.at({str(tmp_path)!r})))"
    caller = subprocess.run(
        [sys.executable, "-c", ask], env={MARKER: str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert caller.stdout == "set()\n"


def test_stop_ends_them_and_nothing_else(tmp_path: Path) -> None:
    with started(**{MARKER: str(tmp_path)}) as ours, started() as other:
        assert owned.stop(Home.at(tmp_path))
        assert ours.wait(10) != 0
        assert other.poll() is None
