"""`make audit`: read the books of all services and check that no money and no stock is lost.

Exit status: 0 when every rule that could be checked holds, 1 when one is broken, 2 when a service can't be read.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import settings
from stack.books import Books, Unreadable, read_books
from stack.checkout_rules import ends, holds, once, orders, sagas_end, stock
from stack.home import Home
from stack.money_rules import money
from stack.processes import PROCESSES, Process
from stack.rules import Rule, Verdict, unrest
from stack.table import paint, table

AUDITED = tuple(name for name, process in PROCESSES.items() if process.url_setting and not process.server)
RULES = tuple(rule for topic in (money, stock, orders, holds, ends, once) for rule in topic.rules)
SETTLE_SECONDS = 2.0  # for what others hear of by events, or write down a moment later
POLL_SECONDS = 0.2  # while waiting for things to be quiet: an audit adds up whole tables, so not more often


@dataclass(frozen=True)
class Finding:
    """What became of one rule; no verdict when it can't be judged while checkouts are under way."""

    rule: Rule
    verdict: Verdict | None

    @property
    def broken(self) -> bool:
        """Whether the rule was judged, and does not hold."""
        return self.verdict is not None and not self.verdict.holds


@dataclass(frozen=True)
class Findings:
    """What became of all rules; `unrest` says why some were not checked."""

    findings: tuple[Finding, ...]
    unrest: str | None

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of the rules that do not hold."""
        return tuple(finding.rule.name for finding in self.findings if finding.broken)

    @property
    def for_good(self) -> bool:
        """Whether something is broken that may not be so for a moment."""
        return any(finding.broken and finding.rule.always for finding in self.findings)

    @property
    def clean(self) -> bool:
        """Whether every rule was checked and holds."""
        return not self.unrest and not self.broken

    def __str__(self) -> str:
        return report(self)


def check(urls: Mapping[str, str], wait_seconds: float = 0) -> Findings:
    """Check every rule on the running services, whose `urls` are by name. Raises `Unreadable`.

    Waits so long at most for things to be quiet; when they still aren't, that is itself a broken rule (`sagas_end`).
    What holds only then gets a moment even so: the end of a choreographed checkout is known in one service first.
    """
    began = time.monotonic()
    while True:
        findings = judge(read_books(urls), waited=wait_seconds > 0)
        patience = wait_seconds if findings.unrest else max(wait_seconds, SETTLE_SECONDS)
        if findings.clean or findings.for_good or time.monotonic() - began > patience:
            return findings
        time.sleep(POLL_SECONDS)


def judge(books: Books, *, waited: bool = False) -> Findings:
    """Check every rule on these books; having `waited`, everything should have ended."""
    reason = unrest(books)

    def verdict(rule: Rule) -> Verdict | None:
        judged = rule.always or not reason or (waited and rule.judge is sagas_end)
        return rule.judge(books) if judged else None

    return Findings(tuple(Finding(rule, verdict(rule)) for rule in RULES), reason)


def report(findings: Findings) -> str:
    """A table of all rules, and what it comes to."""
    lines = table([("", "rule", "", "figures"), *map(_row, findings.findings)])
    coloured = [
        paint(line, "red") if finding.broken else line
        for finding, line in zip(findings.findings, lines[2:], strict=True)
    ]
    return "\n".join([*lines[:2], *coloured, "", summary(findings)])


def _row(finding: Finding) -> tuple[str, str, str, str]:
    rule, verdict = finding.rule, finding.verdict
    if verdict is None:
        return rule.topic, rule.statement, "not checked", ""
    return rule.topic, rule.statement, "holds" if verdict.holds else "BROKEN", verdict.figures


def summary(findings: Findings) -> str:
    """What it comes to, in a line or two."""
    checked = sum(finding.verdict is not None for finding in findings.findings)
    text = paint(f"All {checked} rules{' that could be checked' if findings.unrest else ''} hold.", "green")
    if findings.broken:
        text = paint(f"BROKEN: {', '.join(findings.broken)}", "red")
    if findings.unrest:
        left = len(findings.findings) - checked
        text += f"\nNot quiet: {findings.unrest}. {left} rules hold only once it is: python -m stack.audit --wait 60"
    return text


def urls_of(home: Home) -> dict[str, str]:
    """Where the services are: as the user set it, else as the running stack tells, else at their ports."""
    told = settings.read_env_file(home.env_file) | settings.user_settings()

    def port(process: Process) -> str:
        first, *_ = told.get(process.port_setting, "").split("-")  # of a range, in containers
        return first or str(process.ports[process.port_setting])

    processes = {name: PROCESSES[name] for name in AUDITED}
    return {name: told.get(each.url_setting) or f"http://127.0.0.1:{port(each)}" for name, each in processes.items()}


def main() -> int:
    """Check the running services; see above for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack.audit", description=__doc__)
    parser.add_argument("--home", type=Path, help="the folder of the stack; .local by default")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="wait so long for sagas to end")
    arguments = parser.parse_args()
    try:
        findings = check(urls_of(Home.at(arguments.home)), arguments.wait)
    except Unreadable as error:
        print(f"Can't read the books: {error}\nIs everything up? make status", file=sys.stderr)
        return 2
    print(findings)
    return 1 if findings.broken else 0


if __name__ == "__main__":
    sys.exit(main())
