"""`make audit`: check that no money and no stock is lost, on the books of all services and saga by saga.

Looks at the sagas that changed since the last audit and at those that were not in order then; with --full, at all.
Exit status: 0 when every rule holds for every saga, 1 when one is broken, 2 when a service can't be read, 3 when
nothing is broken but sagas could not be checked, since they have not ended.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stack import checkout_rules, money_rules, saga_rules, settings
from stack.books import Books, Unreadable, read_books
from stack.changes import Notes, read_changed
from stack.facts import read_sagas
from stack.findings import Examined, Findings, find, summary
from stack.home import Home
from stack.processes import PROCESSES, Process
from stack.rules import Rule, SagaRule

__all__ = ["AUDITED", "RULES", "check", "notes_of", "summary", "urls_of"]

AUDITED = tuple(name for name, process in PROCESSES.items() if process.url_setting and process.package)
RULES: tuple[Rule | SagaRule, ...] = tuple(
    rule
    for topic in ("money", "stock", "orders", "holds", "ends", "once")
    for module in (money_rules, checkout_rules, saga_rules)
    if hasattr(module, topic)
    for rule in getattr(module, topic).rules
)
SAGA_RULES = tuple(rule for rule in RULES if isinstance(rule, SagaRule))
SETTLE_SECONDS = 2.0  # for what one service knows a moment before the others
POLL_SECONDS = 0.2  # while waiting for sagas to end
READERS = 16  # requests at once, to all services together


def check(
    urls: Mapping[str, str], wait_seconds: float = 0, notes: Path | None = None, *, full: bool = False
) -> Findings:
    """Check every rule on the running services, whose `urls` are by name. Raises `Unreadable`.

    Waits so long at most for the sagas that it found under way to end; those that begin meanwhile are the next
    audit's. What seems broken is looked at again until it was so for a moment, and only then said to be broken.
    """
    began = time.monotonic()
    broken_since: dict[str, float] = {}
    examined = Examined()
    with ThreadPoolExecutor(READERS) as pool:
        changed = read_changed(urls, Notes() if full else Notes.load(notes), pool)
        saga_ids = changed.saga_ids
        while True:
            books = read_books(urls)
            for sagas in read_sagas(urls, saga_ids, pool):
                examined.examine(sagas, SAGA_RULES, kept_since(books))
            findings = find(RULES, books, examined, full=changed.full, waited=wait_seconds > 0)
            now = time.monotonic()
            wrong = {*findings.broken, *examined.wrong} - {"sagas_end"}
            broken_since = {each: broken_since.get(each, now) for each in wrong}
            settled = all(now - since >= SETTLE_SECONDS for since in broken_since.values())
            if settled and (not findings.unchecked or now - began >= wait_seconds):
                break
            time.sleep(POLL_SECONDS)
            saga_ids = examined.reopen()
    if notes is not None:
        Notes(changed.positions, frozenset(examined.open)).save(notes)
    return findings


def kept_since(books: Books) -> float:
    """Sagas that were born before this time need not be known to their saga service any more."""
    return time.time() - min((each.saga_retention_seconds for each in books.sagas.values()), default=0.0)


def notes_of(home: Home) -> Path:
    """Where the audits of one stack keep what they have seen."""
    return home.path / "audit.json"


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
    parser.add_argument("--full", action="store_true", help="look at all sagas, not only at those that changed")
    arguments = parser.parse_args()
    home = Home.at(arguments.home)
    try:
        findings = check(urls_of(home), arguments.wait, notes_of(home), full=arguments.full)
    except Unreadable as error:
        print(f"Can't read the books: {error}\nIs everything up? make status", file=sys.stderr)
        return 2
    print(findings)
    return 1 if findings.broken else 3 if findings.unchecked else 0


if __name__ == "__main__":
    sys.exit(main())
