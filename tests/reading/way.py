"""The way of one checkout through the code, as measured: which functions run between its request and its end."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.e2e.shop import CHOREOGRAPHED, EXECUTOR, ORCHESTRATED, Shop
from tests.reading.sizes import Function, function_at
from tests.system.brokers import broker_of_run
from tests.system.running import RunningSystem, Spawner
from tests.system.servers import Databases, TestRun

STYLES = (ORCHESTRATED, CHOREOGRAPHED)
# What runs the sagas of each style, and can be read as one by its README: the built-in runtime with the executor inside
# a web process; outbox, inbox, relay and consumer with their connection to the broker.
RUNTIMES: Mapping[str, tuple[str, ...]] = {
    ORCHESTRATED: ("saga_orchestrator/runtime",),
    CHOREOGRAPHED: ("shared/messaging", "shared/rabbitmq.py"),
}
NOTHING = "nothing"
IDLE_SECONDS = 6.0  # longer than most intervals in which the processes do something by themselves
Window = tuple[float, float]
Call = tuple[str, int, str, list[float]]  # file, line, caller's file, times


@dataclass(frozen=True)
class Way:
    """The functions that one checkout runs, each with the files that call it; "" stands for a library's call."""

    calls: frozenset[tuple[Function, str]]

    @property
    def functions(self) -> frozenset[Function]:
        """All functions."""
        return frozenset(function for function, _ in self.calls)

    @property
    def files(self) -> set[str]:
        """The files of all functions."""
        return {each.file for each in self.functions}

    @property
    def entered(self) -> frozenset[Function]:
        """The functions of libraries that a service calls by name."""
        of_libraries = ((function, caller) for function, caller in self.calls if library_of(function.file))
        return frozenset(function for function, caller in of_libraries if caller and not library_of(caller))

    def files_with_one(self, unit: Sequence[str]) -> int:
        """How many files there are when those of `unit` (folders and files) count as one."""
        return len({"" if _is_in(unit, file) else file for file in self.files})

    def functions_with_one(self, unit: Sequence[str]) -> int:
        """How many functions there are when, of those in `unit`, only those that other files call by name count."""
        outside = {function for function in self.functions if not _is_in(unit, function.file)}
        inside = ((function, caller) for function, caller in self.calls if _is_in(unit, function.file))
        return len(outside) + len({function for function, caller in inside if caller and not _is_in(unit, caller)})

    @property
    def own(self) -> frozenset[Function]:
        """The functions of the services."""
        return frozenset(each for each in self.functions if not library_of(each.file))

    @property
    def libraries(self) -> set[str]:
        """The libraries that the services call."""
        return {library_of(each.file) for each in self.entered}


def library_of(file: str) -> str:
    """Return the library of a file, which its README describes as one; empty for a file of a service."""
    path = Path(file)
    if path.parts[0] == "shared":
        return str(path.parent if len(path.parts) > 2 else path)
    return str(path.parent) if "runtime" in path.parts else ""


def _is_in(unit: Sequence[str], file: str) -> bool:
    return any(file == each or file.startswith(f"{each}/") for each in unit)


def measure() -> dict[str, Way]:
    """Start every service on private servers, check out once in each style, and return what ran meanwhile."""
    with ExitStack() as stack:
        run = TestRun()
        stack.callback(run.end)
        spawner = _RecordingSpawner(run.home / "calls")
        stack.callback(spawner.close)
        database_url, rabbitmq_url = Databases().create(), broker_of_run().create()
        copies = {EXECUTOR: 1}
        with RunningSystem(spawner, database_url, run.home, rabbitmq_url=rabbitmq_url, copies=copies) as system:
            windows = _check_out(Shop(system, database_url))
            for name in system.names:
                system.stop(name)
        calls = list(_read(spawner.folder))
    background = {function for function, _ in _called(calls, windows.pop(NOTHING))}
    return {
        style: Way(frozenset(call for call in _called(calls, window) if call[0] not in background))
        for style, window in windows.items()
    }


class _RecordingSpawner(Spawner):
    """Makes each process record its calls in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        folder.mkdir()

    def start(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Start the process under the recorder."""
        recorded = [sys.executable, "-m", "tests.reading.recorder", str(self.folder), *argv[2:]]
        return super().start(recorded, env, log)


def _check_out(shop: Shop) -> dict[str, Window]:
    """Return when each style's checkout ran, and when nothing did."""
    product = shop.product()
    for style in STYLES:  # what a process does only once is no part of a checkout
        shop.ended(shop.buy(product, style=style))
    shop.until_quiet()
    windows = {NOTHING: _timed(lambda: time.sleep(IDLE_SECONDS))}
    for style in STYLES:
        cart_id = shop.cart((product, 1))
        time.sleep(IDLE_SECONDS)  # until earlier work is done
        windows[style] = _timed(partial(shop.checkout, cart_id, style=style, Prefer="wait=30"))
    return windows


def _timed(action: Callable[[], object]) -> Window:
    began = time.monotonic()
    action()
    return began, time.monotonic()


def _read(folder: Path) -> Iterator[Call]:
    for path in folder.glob("*.json"):
        yield from map(tuple, json.loads(path.read_text()))


def _called(calls: Sequence[Call], window: Window) -> Iterator[tuple[Function, str]]:
    """Yield the functions that were called in this time, each with the file of a caller."""
    began, ended = window
    for file, line, caller, times in calls:
        function = function_at(file, line)
        if function is not None and any(began <= each <= ended for each in times):
            yield function, caller
