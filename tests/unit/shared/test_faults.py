"""A crash point kills the process when it is named, and as often as it should."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.config import ROOT

KILLED = -signal.SIGKILL
PASS_THREE_POINTS = "from shared.process.crash_points import reach; reach('a'); reach('b'); reach('a'); print('alive')"


def run(**env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PASS_THREE_POINTS], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("point", ["", "c", "b#2", "a#3"])
def test_a_process_lives_when_it_does_not_reach_its_fault(point: str) -> None:
    assert run(FAULT_KILL_AT=point) == (0, "alive")


@pytest.mark.parametrize("point", ["a", "b", "a#1", "a#2"])
def test_a_process_dies_at_its_fault(point: str) -> None:
    assert run(FAULT_KILL_AT=point) == (KILLED, "")


def test_a_fault_that_happens_once_kills_no_second_life(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert run(FAULT_KILL_AT="b", FAULT_ONCE=str(mark)) == (KILLED, "")
    assert mark.exists()
    assert run(FAULT_KILL_AT="b", FAULT_ONCE=str(mark)) == (0, "alive")
