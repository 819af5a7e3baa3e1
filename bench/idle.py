"""`make bench IDLE=1`: how often each process of a stack without checkouts wakes up, and what CPU that takes."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import cpu
from bench.figures import used
from stack import settings
from stack.errors import StackError
from stack.home import Home
from stack.meters import Postgres
from stack.table import table

HEAD = ("process", "wake-ups/s", "CPU ms/s")
SETTLE_SECONDS = 10  # a stack that was just started or used finishes what is left


@dataclass(frozen=True)
class Idle:
    """Wake-ups and CPU time of each component within `seconds`. Wake-ups are voluntary context switches."""

    seconds: float
    wake_ups: Mapping[str, float]
    cpu_seconds: Mapping[str, float]

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Return a row for each component, the busiest first, and one for all."""
        yield from (self._row(name, name) for name in sorted(self.wake_ups, key=self._busy, reverse=True))
        yield self._row("all", *self.wake_ups)

    def _busy(self, component: str) -> float:
        return self.wake_ups[component]

    def _row(self, title: str, *components: str) -> tuple[str, str, str]:
        wake_ups = sum(self.wake_ups[each] for each in components) / self.seconds
        cpu_ms = sum(self.cpu_seconds.get(each, 0.0) for each in components) * 1000 / self.seconds
        return title, f"{wake_ups:.1f}", f"{cpu_ms:.2f}"


def measure(roots: Callable[[], Mapping[int, str]], seconds: float) -> Idle:
    """Watch the processes for so many seconds; `roots` returns the component of each process."""
    began, before = time.monotonic(), roots()
    switches, cpu_before = cpu.wake_ups(before), cpu.cpu_seconds(before)
    time.sleep(seconds)
    after = roots()
    lasted = time.monotonic() - began
    return Idle(lasted, used(switches, cpu.wake_ups(after)), used(cpu_before, cpu.cpu_seconds(after)))


def _run(arguments: argparse.Namespace) -> None:
    home = Home.at(arguments.home)
    told = settings.user_settings() | settings.read_env_file(home.env_file)
    components = {pid: name for pid, name in cpu.components(home).items() if name != cpu.DRIVER}
    if "DATABASE_URL" not in told or not components:
        raise StackError("Nothing seems to be up: make up")
    with closing(Postgres(told["DATABASE_URL"])) as postgres:
        time.sleep(SETTLE_SECONDS)
        idle = measure(lambda: cpu.with_backends(components, postgres.backends()), arguments.seconds)
    print("\n".join(table([HEAD, *idle.rows()])))


def main() -> int:
    """Print a table; the exit status is 1 when there is no stack."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="to watch (%(default)s)")
    parser.add_argument("--home", type=Path, help="the folder of the stack; .local by default")
    try:
        _run(parser.parse_args())
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
