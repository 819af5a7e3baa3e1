"""`make audit`: check that no money and no stock is lost, on the books of all services and saga by saga.

Examines the sagas that changed since the last audit and those that were not in order then; with --full, all sagas.
Exit status: 0 when every rule holds for every saga, 1 when one is broken, 2 when a service can't be read, 3 when
nothing is broken but sagas could not be checked, since they have not ended.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.auditing.changes import Notes
from shared.auditing.check import RULES, SETTLE_SECONDS
from shared.auditing.check import check as check_services
from shared.auditing.findings import Findings
from shared.auditing.services import AuditUnreadable, Services
from stack import settings
from stack.audit.report import report, summary
from stack.errors import StackError
from stack.home import Home
from stack.processes import PROCESSES, Process

__all__ = ["AUDITED", "RULES", "check", "notes_of", "report", "summary", "urls_of"]

AUDITED = tuple(name for name, process in PROCESSES.items() if process.url_setting and process.package)


def check(
    urls: Mapping[str, str], wait_seconds: float = 0, notes: Path | None = None, *, full: bool = False
) -> Findings:
    """Check every rule on the running services, whose `urls` are by name. Raises `StackError` if one can't be read.

    Waits at most `wait_seconds` for running sagas to end. `notes` is the file that keeps the state for the next audit;
    without it, all sagas are examined.
    """
    services = Services(urls, settings.service_token())
    known = Notes() if full else Notes.load(notes)
    try:
        findings, new = check_services(services, known, wait_seconds, settle_seconds=SETTLE_SECONDS)
    except AuditUnreadable as error:
        raise StackError(str(error)) from error
    if notes is not None:
        new.save(notes)
    return findings


def notes_of(home: Home) -> Path:
    """Return the file of notes of one stack's audits."""
    return home.path / "audit.json"


def urls_of(home: Home) -> dict[str, str]:
    """Return the URLs of the services: those that the user set, else the running stack's, else the well-known ports."""
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
    parser.add_argument("--full", action="store_true", help="look at all sagas, not only at those that changed")
    arguments = parser.parse_args()
    home = Home.at(arguments.home)
    try:
        findings = check(urls_of(home), arguments.wait, notes_of(home), full=arguments.full)
    except StackError as error:
        print(f"Can't read the books: {error}\nIs everything up? make status", file=sys.stderr)
        return 2
    print(report(findings))
    return 1 if findings.broken else 3 if findings.unchecked else 0
