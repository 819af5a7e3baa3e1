"""`make compare`: the same checkouts and the same faults in both styles, on a private stack, as a one-page report.

Exit status: 0 when every checkout ended and the books balance, else 1.
"""

import argparse
import os
import platform
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.checkouts import stock_up
from bench.compare import page, results, summary
from bench.compare.measure import Measurement
from bench.compare.pictures import write_pictures
from bench.compare.private_stack import PrivateStack, private_stack
from bench.compare.results import Comparison
from bench.compare.scenarios import FULL, QUICK, SCENARIOS, Extent
from bench.progress import Progress
from stack.audit import run as audit
from stack.demo.shop import Shop
from stack.errors import StackError
from stack.home import ROOT

REPORT = ROOT / ".local" / "compare.html"
AUDIT_SECONDS = 60  # to wait for sagas to end


def _compare(stack: PrivateStack, extent: Extent) -> Comparison:
    """Run all scenarios on the stack, then the audit; return what was measured."""
    machine = _machine()
    progress = Progress(sum(1 for _ in extent.cases()))
    progress.show("stocking up")
    measurement = Measurement(stack, stock_up(Shop(stack.urls)), extent)
    try:
        rounds = tuple(measurement.run(progress))
    finally:
        progress.clear()
        measurement.close()
    findings = audit.check(stack.urls, AUDIT_SECONDS, full=True)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Comparison(made_at, machine, str(extent), rounds, audit.report(findings), findings.clean)


def _machine() -> str:
    """Describe the machine, and its load before the run, which makes everything slower."""
    busy = os.getloadavg()[0]
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()} on {platform.machine()}, {python}; load {busy:.1f} before"


def _extent(arguments: argparse.Namespace) -> Extent:
    known = {each.name: each for each in SCENARIOS}
    if unknown := set(arguments.only or ()) - known.keys():
        raise StackError(f"No such scenario: {', '.join(sorted(unknown))}. There are: {', '.join(known)}")
    extent = QUICK if arguments.quick else FULL
    return extent.only([known[name] for name in arguments.only]) if arguments.only else extent


def _run(arguments: argparse.Namespace) -> bool:
    if arguments.load:
        comparison = results.combined([results.load(each) for each in arguments.load])
    else:
        extent = _extent(arguments)  # refuses unknown scenarios before anything is started
        with private_stack(arguments.home) as stack:
            comparison = _compare(stack, extent)
    if arguments.json:
        comparison.save(arguments.json)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page.page_of(comparison))
    if arguments.pictures:
        write_pictures(comparison, arguments.pictures)
    print(f"\n{summary.text_of(comparison)}\n\nAudit: {comparison.audit}\n\nThe report: {arguments.out.resolve()}")
    return comparison.clean


def _words(text: str) -> list[str]:
    return text.split(",")


def main() -> int:
    """Compare; see above for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a few checkouts of each: shows that it works, measures little"
    )
    parser.add_argument("--only", type=_words, help=f"of {', '.join(each.name for each in SCENARIOS)}, by commas")
    parser.add_argument("--out", type=Path, default=REPORT, help="the report; .local/compare.html by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to a file, too")
    parser.add_argument("--load", type=Path, nargs="+", metavar="FILE", help="measure nothing; take what --json wrote")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write the main plots as SVG files, too")
    parser.add_argument("--home", type=Path, help="an empty folder for the stack; .local/compare by default")
    # SIGTERM (of `timeout`, or of a cancelled CI job) stops the stack, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if _run(parser.parse_args()) else 1
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing is left running.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
