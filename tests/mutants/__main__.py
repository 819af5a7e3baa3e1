"""`make mutants`: plants known bugs one by one in a copy of the checkout, and runs the tests that must notice each.

First those tests must pass without a bug. Exit status: 0 when every bug was caught, else 1.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from shared.config import ROOT
from stack.table import paint, table
from tests.mutants.checkout import PASSED, Checkout, Outcome, Verdict
from tests.mutants.planted import LIST, Mutant, read, selected
from tests.system.brokers import broker_of_run
from tests.system.servers import Databases, TestRun

WITHOUT_SERVERS = "tests/unit/"
BASELINE_SECONDS = 3600  # for all named tests together


def main(arguments: Sequence[str] | None = None, source: Path = ROOT, listed: Path = LIST) -> int:
    """Try the selected ones of the listed bugs on a copy of `source`; return the exit status."""
    options = _parser().parse_args(arguments)
    mutants = selected(read(listed), options.wanted)
    if not mutants:
        print(f"No bug in the list is called so: {', '.join(options.wanted)}", file=sys.stderr)
        return 1
    if options.list:
        print("\n".join(mutant.name for mutant in mutants))
        return 0
    with ExitStack() as stack:
        needed = source == ROOT and any(not test.startswith(WITHOUT_SERVERS) for each in mutants for test in each.tests)
        servers = stack.enter_context(_servers()) if needed else {}
        copies = [_copy(source, stack, servers) for _ in range(options.jobs)]
        if not options.no_baseline and not _passes(copies[0], mutants):
            return 1
        verdicts = list(_judged(copies, mutants))
    return _report(verdicts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("wanted", nargs="*", help="only those whose name contains this, such as an area: outbox")
    parser.add_argument("--list", action="store_true", help="only name them")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once, each in a copy of its own")
    parser.add_argument("--no-baseline", action="store_true", help="take it that the tests pass as things are")
    return parser


@contextmanager
def _servers() -> Iterator[Mapping[str, str]]:
    """Start one PostgreSQL and one RabbitMQ for all runs of tests, so that not each run starts its own."""
    run = TestRun()
    try:
        broker = broker_of_run()
        urls = {"RABBITMQ_URL": broker.url, "RABBITMQ_MANAGEMENT_URL": broker.management_url}
        yield {"DATABASE_URL": Databases().server, **urls}
    finally:
        run.end()


def _copy(source: Path, stack: ExitStack, servers: Mapping[str, str]) -> Checkout:
    """Copy the checkout below `.local`, so that downloaded files can be linked; the copy is removed at the end."""
    (source / ".local").mkdir(exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix="mutants-", dir=source / ".local", ignore_cleanup_errors=True)
    return Checkout(source, Path(stack.enter_context(folder)), servers)


def _passes(checkout: Checkout, mutants: Sequence[Mutant]) -> bool:
    """Whether all named tests pass without a bug; a test that fails anyway catches nothing."""
    code, output = checkout.run([test for mutant in mutants for test in mutant.tests], BASELINE_SECONDS)
    if code != PASSED:
        print(f"{output}\nThese tests must pass before a bug is planted.", file=sys.stderr)
    return code == PASSED


def _judged(copies: Sequence[Checkout], mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """Yield each verdict as soon as it is known, in the order of the list."""
    free = SimpleQueue[Checkout]()
    for checkout in copies:
        free.put(checkout)

    def judge(mutant: Mutant) -> Verdict:
        checkout = free.get()
        try:
            return checkout.judge(mutant)
        finally:
            free.put(checkout)

    pool = ThreadPoolExecutor(len(copies))
    try:
        for number, verdict in enumerate(pool.map(judge, mutants), start=1):
            print(f"{number}/{len(mutants)} {verdict.outcome} {verdict.mutant.name}", file=sys.stderr, flush=True)
            yield verdict
    finally:
        pool.shutdown(cancel_futures=True)


def _report(verdicts: Sequence[Verdict]) -> int:
    """Print the verdicts; return 0 if all bugs were caught."""
    rows = [
        (each.outcome, each.mutant.area, each.mutant.bug, f"{each.seconds:.0f} s", each.by.rpartition("/")[2])
        for each in verdicts
    ]
    head, rule, *lines = table([("", "area", "bug", "in", "by"), *rows])
    print("\n".join([head, rule]))
    for line, verdict in zip(lines, verdicts, strict=True):
        print(line if verdict.outcome is Outcome.CAUGHT else paint(line, "red"))
    counts = Counter(verdict.outcome for verdict in verdicts)
    print(f"\n{len(verdicts)} planted: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 0 if counts.keys() == {Outcome.CAUGHT} else 1


if __name__ == "__main__":
    sys.exit(main())
