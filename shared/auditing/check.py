"""One audit: which sagas to look at, what is known of them, and which rules are broken."""

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
SETTLE_SECONDS = 2.0  # for what one service knows a moment before the others
POLL_SECONDS = 0.2  # while waiting for sagas to end
READERS = 16  # requests at once, to all services together


def _ignore(_: int, __: int) -> None:
    """Nobody wants to know."""


def check(
    services: Services,
    notes: Notes,
    wait_seconds: float = 0,
    *,
    settle_seconds: float = SETTLE_SECONDS,
    examined_so_far: Callable[[int, int], None] = _ignore,
) -> tuple[Findings, Notes]:
    """Check every rule on the running services: what was found, and notes for the next audit. Raises `Unreadable`.

    Looks at the sagas that changed since the audit that left these notes, and at those that were not in order then;
    with empty notes, at all. Waits `wait_seconds` at most for the sagas that it found under way to end; those that
    begin meanwhile are the next audit's. What seems broken is looked at again until it was so for `settle_seconds`,
    and only then said to be broken. `examined_so_far` is told how many sagas were looked at, of how many.
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
    """Sagas that were born before this time need not be known to their saga service any more."""
    return time.time() - min((each.saga_retention_seconds for each in books.sagas.values()), default=0.0)
