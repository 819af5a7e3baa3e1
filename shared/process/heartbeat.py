"""Shows whether every loop of a process goes round.

A loop calls `beat()` in each round and within long work, and waits for something to do inside `resting()`. A thread
looks at all loops every few seconds and writes `HEARTBEAT_FILE`: empty when all go round, else a line for each loop
that hangs, or that says by `cannot()` why it goes round in vain; what a loop says is written at once. Nothing is
written before every loop has begun. A file that gets old means that the whole process is frozen.

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

FILE = "HEARTBEAT_FILE"  # the variable that names the file; whoever starts the process sets it
BEAT_SECONDS = 5.0  # seldom enough to cost nothing
STALE_SECONDS = 30.0  # six times that: a machine under load may be late with some
HANG_SECONDS = 60.0  # far longer than a statement may take, or one request to another service
# A loop that hangs for so long does not come back. The process ends, as it may at any moment, and is started again.
GIVE_UP_SECONDS = 300.0
GAVE_UP = 70  # the exit status then: an internal error, in sysexits.h
HANGS = "has not gone round for"
MOST_SAID = 300  # characters of a reason
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Loop:
    """One loop of this process: how often it went round, and whether it waits for something to do."""

    name: str
    rounds: int = 0
    resting: bool = False
    seen: int = -1  # rounds at the last look
    silent: int = 0  # looks since it went round
    vain: str = ""  # why it can't do what it is there for

    def look(self) -> None:
        """Note whether it has gone round since the last look."""
        goes = self.resting or self.rounds != self.seen
        self.seen, self.silent = self.rounds, 0 if goes else self.silent + 1

    @property
    def silent_seconds(self) -> float:
        """For how long it has not gone round, at the last look."""
        return self.silent * BEAT_SECONDS

    @property
    def hangs(self) -> bool:
        """Whether that is longer than anything may take."""
        return self.silent_seconds >= HANG_SECONDS


_loops: set[Loop] = set()
_changing = threading.Lock()
_news = threading.Event()  # what is to be written is no longer what was
_thread = threading.local()


@contextmanager
def loop(name: str) -> Iterator[None]:
    """What this thread does inside is a loop with this name."""
    own = Loop(name)
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
    """The loop that this thread runs, if it runs one, goes round."""
    own: Loop | None = getattr(_thread, "loop", None)
    if own is not None:
        own.rounds += 1


def cannot(reason: str) -> None:
    """Why the loop that this thread runs, if it runs one, can't do what it is there for; "" when it can again."""
    own: Loop | None = getattr(_thread, "loop", None)
    if own is not None:
        own.vain = " ".join(reason.split())[:MOST_SAID]
        _news.set()


@contextmanager
def resting() -> Iterator[None]:
    """The loop that this thread runs, if it runs one, waits for something to do; for how long says nothing about it."""
    own: Loop | None = getattr(_thread, "loop", None)
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
    """Look after the loops that run inside, and write what is seen to `HEARTBEAT_FILE`, if one is named.

    Nothing is written before so many loops have begun: until then, the process is starting, and nobody knows how it is.
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
    """By looks and not by the clock, so that a process that was frozen as a whole is not judged when it wakes."""
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


def _look(loops: Iterable[Loop]) -> None:
    for each in loops:
        each.look()
    hang = {each.name: each.silent_seconds for each in loops if each.hangs}
    if hang:
        log.error("loops hang: %s", hang)
    if max(hang.values(), default=0.0) >= GIVE_UP_SECONDS:
        os._exit(GAVE_UP)


def _told(loops: Iterable[Loop]) -> Iterator[str]:
    """A line for each loop that hangs, or goes round in vain."""
    for each in loops:
        if each.hangs:
            yield f"{each.name} {HANGS} {each.silent_seconds:.0f} s\n"
        if each.vain:
            yield f"{each.name}: {each.vain}\n"


def _write(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_text(text)
        new.replace(file)
    except OSError as error:  # the file gets old, which is seen
        log.warning("no heartbeat: %s", error)


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a process; `hangs` if it, or a loop of it, does not go round."""

    reason: str
    hangs: bool = True


def trouble(file: Path, since: float = 0.0) -> Trouble | None:
    """What is wrong with the process that writes this file, if something is.

    Raises `LookupError` when it has not written since then (seconds of `time.time`), so that nothing is known.
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
