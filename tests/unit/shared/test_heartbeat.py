"""A loop that makes progress or waits for work is well; any other is named."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.config import ROOT
from shared.process import heartbeat
from shared.testing import wait_until
from tests.system.heartbeats import is_well, trouble

LONG = 60.0  # seconds; no test waits so long


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "heartbeat"
    monkeypatch.setenv(heartbeat.FILE, str(file))
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "HANG_SECONDS", 0.05)
    return file


Start = Callable[[str, Callable[[threading.Event], None]], threading.Event]


@pytest.fixture
def loop(file: Path) -> Iterator[Start]:
    """Start a loop with an event for its end; all loops are watched, and end with the test."""
    assert not file.exists()
    with ExitStack() as stack:
        stack.enter_context(heartbeat.watched())

        def start(name: str, work: Callable[[threading.Event], None]) -> threading.Event:
            over = threading.Event()

            def run() -> None:
                with heartbeat.loop(name):
                    work(over)

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(over.set)
            return over

        yield start


def waits(over: threading.Event) -> None:
    with heartbeat.resting():
        over.wait(LONG)


def hangs(over: threading.Event) -> None:
    over.wait(LONG)


def goes_round(over: threading.Event) -> None:
    while not over.wait(0.001):
        heartbeat.beat()


def rewritten(file: Path, times: int = 12) -> list[str]:
    """Return what is written in the next checks. Each write creates a file, which may reuse an inode."""
    seen: dict[tuple[int, int], str] = {}

    def enough() -> bool:
        if file.exists():
            there = file.stat()
            seen[there.st_ino, there.st_mtime_ns] = file.read_text()
        return len(seen) > times

    wait_until(enough, "it is written again and again", LONG)
    return list(seen.values())


def test_one_that_waits_for_something_to_do_is_well_for_however_long(loop: Start, file: Path) -> None:
    loop("idle", waits)
    assert set(rewritten(file)) == {""}
    assert heartbeat.trouble(file) is None


def test_one_that_goes_round_is_well(loop: Start, file: Path) -> None:
    loop("busy", goes_round)
    wait_until(lambda: is_well(file), "it is well", LONG)


def test_one_that_hangs_is_named_beside_others_that_do_not(loop: Start, file: Path) -> None:
    loop("idle", waits)
    loop("busy", goes_round)
    over = loop("stuck", hangs)
    wait_until(lambda: trouble(file), "it is noticed", LONG)
    assert trouble(file).startswith("stuck has not gone round for ")
    over.set()
    wait_until(lambda: is_well(file), "its end is noticed", LONG)


def test_one_that_goes_on_is_well_again(loop: Start, file: Path) -> None:
    goes_on = threading.Event()

    def hesitates(over: threading.Event) -> None:
        goes_on.wait(LONG)
        goes_round(over)

    loop("slow", hesitates)
    wait_until(lambda: trouble(file), "it is noticed", LONG)
    goes_on.set()
    wait_until(lambda: is_well(file), "it is well again", LONG)


def test_one_that_goes_round_in_vain_says_why_until_it_does_not(loop: Start, file: Path) -> None:
    again = threading.Event()

    def in_vain(over: threading.Event) -> None:
        heartbeat.cannot("no such\nqueue" + "!" * 1000)
        while not again.is_set():
            heartbeat.beat()
            time.sleep(0.001)
        heartbeat.cannot("")
        goes_round(over)

    loop("events", in_vain)
    wait_until(lambda: trouble(file), "it is said", LONG)
    known = heartbeat.trouble(file)
    assert known is not None
    assert not known.hangs
    assert known.reason.startswith("events: no such queue!!!")
    assert len(known.reason) < 2 * heartbeat.MOST_SAID
    again.set()
    wait_until(lambda: is_well(file), "it can again", LONG)


def test_what_a_loop_says_is_written_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", LONG)
    with heartbeat.watched(), heartbeat.loop("events"):
        heartbeat.cannot("no broker")
        wait_until(lambda: trouble(file), "it is said", LONG / 2)
        heartbeat.cannot("")
        wait_until(lambda: is_well(file), "it can again", LONG / 2)


def test_nothing_is_known_before_every_loop_has_begun(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "HANG_SECONDS", LONG)
    with heartbeat.watched(loops=2), heartbeat.loop("first"):
        time.sleep(20 * heartbeat.BEAT_SECONDS)
        assert not file.exists()
        with heartbeat.loop("second"):
            wait_until(lambda: is_well(file), "it is well", LONG)
        assert rewritten(file)  # it is watched until its end


def test_a_file_that_is_old_is_that_of_a_frozen_process(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    file.touch()
    assert heartbeat.trouble(file) is None
    then = time.time() - heartbeat.STALE_SECONDS - 1
    os.utime(file, (then, then))
    assert trouble(file).startswith("frozen for 3")


def test_nothing_is_known_of_one_that_has_not_written_since_it_was_started(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    with pytest.raises(LookupError):
        heartbeat.trouble(file)
    file.touch()
    with pytest.raises(LookupError):
        heartbeat.trouble(file, since=time.time() + 1)


def test_a_thread_that_is_no_loop_may_beat_and_rest(file: Path) -> None:
    assert file
    heartbeat.beat()
    with heartbeat.resting():
        pass


GIVES_UP = """
import threading
from shared.process import heartbeat
heartbeat.BEAT_SECONDS, heartbeat.HANG_SECONDS, heartbeat.GIVE_UP_SECONDS = 0.01, 0.02, 0.05
with heartbeat.watched(), heartbeat.loop("stuck"):
    threading.Event().wait()
"""


def test_a_process_of_which_a_loop_does_not_come_back_ends_and_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GIVES_UP], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONG
    )
    assert done.returncode == heartbeat.GAVE_UP
    assert "stuck" in done.stderr
