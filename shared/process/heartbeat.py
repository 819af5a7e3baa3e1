"""A heartbeat: shows whether every loop of a process makes progress.

A loop calls `beat()` in each round and during long work, and waits for work inside `resting()`. A thread checks all
loops every few seconds and writes `HEARTBEAT_FILE`: empty when all are well, else a line for each loop that hangs, or
that reported by `cannot()` why it can't work; such a report is written at once. Nothing is written before all loops
have begun. A file that gets old means that the whole process is frozen.

Standard library only: `make status` reads the file without the project's libraries.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "HEARTBEAT_FILE"  # the environment variable that names the file
BEAT_SECONDS = 5.0  # costs nothing at this rate
STALE_SECONDS = 30.0  # six times that: a machine under load may miss some
HANG_SECONDS = 60.0  # far longer than the time limits of a statement and of a request to another service
# A loop that hangs for so long does not recover. The process ends, and its supervisor starts it again.
GIVE_UP_SECONDS = 300.0
GAVE_UP = 70  # exit status then: EX_SOFTWARE of sysexits.h
HANGS = "has not gone round for"
MOST_SAID = 300  # characters of a reason
log = logging.getLogger(__name__)


@dataclass(eq=False)
class WatchedLoop:
    """One loop of this process: its number of rounds, and whether it waits for work."""

    name: str
    rounds: int = 0
    resting: bool = False
    seen: int = -1  # rounds at the last check
    silent: int = 0  # checks since its last round
    obstacle: str = ""  # why it can't work, as it reported; empty when it can

    def look(self) -> None:
        """Record whether it made progress since the last check."""
        goes = self.resting or self.rounds != self.seen
        self.seen, self.silent = self.rounds, 0 if goes else self.silent + 1

    @property
    def silent_seconds(self) -> float:
        """Seconds without progress, at the last check."""
        return self.silent * BEAT_SECONDS

    @property
    def hangs(self) -> bool:
        """Whether it has made no progress for `HANG_SECONDS`."""
        return self.silent_seconds >= HANG_SECONDS


_loops: set[WatchedLoop] = set()
_changing = threading.Lock()
_news = threading.Event()  # set when the file must be written before the next check
_thread = threading.local()


@contextmanager
def loop(name: str) -> Iterator[None]:
    """Register the block, in this thread, as a loop with this name."""
    own = WatchedLoop(name)
    with _changing:
        _loops.add(own)
    _news.set()
    _thread.loop = own
    try:
        yield
    finally:
        _thread.loop = None
        with _changing:
            _loops.discard(own)


def beat() -> None:
    """Report progress of this thread's loop, if it runs one."""
    own: WatchedLoop | None = getattr(_thread, "loop", None)
    if own is not None:
        own.rounds += 1


def cannot(reason: str) -> None:
    """Report why this thread's loop, if it runs one, can't work; "" when it can again."""
    own: WatchedLoop | None = getattr(_thread, "loop", None)
    if own is not None:
        own.obstacle = " ".join(reason.split())[:MOST_SAID]
        _news.set()


@contextmanager
def resting() -> Iterator[None]:
    """Mark the block as waiting for work; a loop, if this thread runs one, may wait for any time."""
    own: WatchedLoop | None = getattr(_thread, "loop", None)
    if own is None:
        yield
        return
    own.resting = True
    try:
        yield
    finally:
        own.rounds += 1
        own.resting = False


@contextmanager
def watched(loops: int = 0) -> Iterator[None]:
    """Watch the loops that run in the block, and write `HEARTBEAT_FILE`, if the environment names one.

    Nothing is written before `loops` loops have begun: until then the process is starting.
    """
    file = os.environ.get(FILE)
    over = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(over, Path(file) if file else None, loops), name="heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        _news.set()
        thread.join()


def _watch(over: threading.Event, file: Path | None, awaited: int) -> None:
    """Count checks instead of reading a clock, so that no loop counts as hanging when a frozen process thaws."""
    next_look = time.monotonic()
    begun = False
    while not over.is_set():
        _news.clear()
        with _changing:
            loops = list(_loops)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + BEAT_SECONDS
            _look(loops)
        begun = begun or len(loops) >= awaited
        if file is not None and begun:
            _write(file, "".join(_told(loops)))
        _news.wait(max(0.0, next_look - time.monotonic()))


def _look(loops: Iterable[WatchedLoop]) -> None:
    for each in loops:
        each.look()
    hang = {each.name: each.silent_seconds for each in loops if each.hangs}
    if hang:
        log.error("loops hang: %s", hang)
    if max(hang.values(), default=0.0) >= GIVE_UP_SECONDS:
        os._exit(GAVE_UP)


def _told(loops: Iterable[WatchedLoop]) -> Iterator[str]:
    """Yield a line for each loop that hangs or can't work."""
    for each in loops:
        if each.hangs:
            yield f"{each.name} {HANGS} {each.silent_seconds:.0f} s\n"
        if each.obstacle:
            yield f"{each.name}: {each.obstacle}\n"


def _write(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_text(text)
        new.replace(file)
    except OSError as error:  # the file gets old, which readers notice
        log.warning("no heartbeat: %s", error)


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a process; `hangs` when it, or one of its loops, makes no progress."""

    reason: str
    hangs: bool = True


def trouble(file: Path, since: float = 0.0) -> Trouble | None:
    """Return what is wrong with the process that writes this file; None when it is well.

    Raises `LookupError` when the file was not written since `since` (seconds of `time.time`).
    """
    try:
        written, text = file.stat().st_mtime, file.read_text()
    except OSError as error:
        raise LookupError("it has not written") from error
    if written < since:
        raise LookupError("it has not written since it was started")
    age = time.time() - written
    if age > STALE_SECONDS:
        return Trouble(f"frozen for {age:.0f} s")
    return Trouble(text.strip().replace("\n", ", "), HANGS in text) if text else None
