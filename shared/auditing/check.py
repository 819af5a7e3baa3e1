"""Runs one audit: reads the books and the sagas that changed, and checks every rule."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from shared.auditing import checkout_rules, money_rules, saga_rules
from shared.auditing.books import Books, read_books
from shared.auditing.changes import Notes, read_changed
from shared.auditing.facts import read_sagas
from shared.auditing.findings import Examined, Findings, find
from shared.auditing.rules import Rule, SagaRule
from shared.auditing.services import Services

RULES: tuple[Rule | SagaRule, ...] = tuple(
    rule
    for topic in ("money", "stock", "orders", "holds", "ends", "once")
    for module in (money_rules, checkout_rules, saga_rules)
    if hasattr(module, topic)
    for rule in getattr(module, topic).rules
)
SAGA_RULES = tuple(rule for rule in RULES if isinstance(rule, SagaRule))
SETTLE_SECONDS = 2.0  # a change reaches the services one after the other
POLL_SECONDS = 0.2  # while waiting for sagas to end
READERS = 16  # requests at once, to all services together


def _ignore(_: int, __: int) -> None:
    """Report no progress."""


def check(
    services: Services,
    notes: Notes,
    wait_seconds: float = 0,
    *,
    settle_seconds: float = SETTLE_SECONDS,
    examined_so_far: Callable[[int, int], None] = _ignore,
) -> tuple[Findings, Notes]:
    """Check every rule on the running services: what was found, and notes for the next audit. Raises `AuditUnreadable`.

    Examines the sagas that changed since the audit that left these notes, and those that it left open; with empty
    notes, all. Waits at most `wait_seconds` for running sagas to end; later ones are for the next audit.
    A saga that breaks a rule is examined again for `settle_seconds` before the rule counts as broken.
    `examined_so_far` is called with the number of examined sagas and the number of all.
    """
    began = time.monotonic()
    broken_since: dict[str, float] = {}
    examined = Examined()
    with ThreadPoolExecutor(READERS) as pool:
        changed = read_changed(services, notes, pool)
        saga_ids = changed.saga_ids
        while True:
            books = read_books(services)
            done = 0
            for sagas in read_sagas(services, saga_ids, pool):
                examined.examine(sagas, SAGA_RULES, kept_since(books))
                done += len(sagas)
                examined_so_far(done, len(saga_ids))
            findings = find(RULES, books, examined, full=changed.full, waited=wait_seconds > 0)
            now = time.monotonic()
            wrong = {*findings.broken, *examined.wrong} - {"sagas_end"}
            broken_since = {each: broken_since.get(each, now) for each in wrong}
            settled = all(now - since >= settle_seconds for since in broken_since.values())
            if settled and (not findings.unchecked or now - began >= wait_seconds):
                break
            time.sleep(POLL_SECONDS)
            saga_ids = examined.reopen()
    return findings, Notes(changed.positions, frozenset(examined.open))


def kept_since(books: Books) -> float:
    """Return the time before which sagas began that their saga service may have deleted."""
    return time.time() - min((each.saga_retention_seconds for each in books.sagas.values()), default=0.0)
