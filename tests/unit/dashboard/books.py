"""The findings of audits, and the pages made of them.

`python -m tests.unit.dashboard.books` writes the pages again; review the changes before you commit them.
"""

from datetime import UTC, datetime
from pathlib import Path

from dashboard.auditor import Finished, Known, Run
from dashboard.books import books_of
from dashboard.pages import books_page
from shared.auditing.check import RULES, SAGA_RULES
from shared.auditing.facts import AuditedSaga, OrderFact, PaymentFact
from shared.auditing.findings import Examined, find
from tests.unit.stack_audit.audits import books_of as books
from tests.unit.stack_audit.audits import good_audits

HERE = Path(__file__).parent / "books"
NOW = datetime(2026, 11, 26, 10, 5, tzinfo=UTC)
EARLIER = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
SAGA, LIVE = "01a21726-0000-7000-8000-000000000001", "01a21726-0000-7000-8000-000000000002"
ENDED, BUSY = ({"saga_orchestrator": status} for status in ("compensated", "running"))


def finished(*sagas: AuditedSaga, **changes: object) -> Finished:
    """Return an audit of these sagas, over good books with these changes."""
    examined = Examined()
    examined.examine(sagas, SAGA_RULES, 0.0)
    findings = find(RULES, books(good_audits(**changes)), examined, full=True)
    return Finished(findings, NOW, 0.21, {rule.name: EARLIER for rule in RULES})


def kept_money(saga_id: str) -> AuditedSaga:
    """Return a compensated saga whose money was kept."""
    order = OrderFact(saga_id=saga_id, status="cancelled", total_minor=0, lines=())
    money = {"captured_minor": 999, "refunded_minor": 0, "payments": 1, "captured": 1, "undone": False}
    return AuditedSaga(saga_id, ENDED, ENDED, order, None, PaymentFact(saga_id=saga_id, currency="EUR", **money))


GOOD = Known(finished=finished())
BROKEN = Known(finished=finished(kept_money(SAGA), AuditedSaga(LIVE, BUSY, BUSY), pagos__ledger_sum=5))
PAGES = {
    "first-audit": books_page(books_of(Known(running=Run(EARLIER, 12_000, 1_000_000)), [], NOW), NOW),
    "in-order": books_page(books_of(GOOD, [], NOW), NOW),
    "broken": books_page(books_of(BROKEN, [], NOW), NOW),
    "away": books_page(books_of(GOOD, ["pagos"], NOW), NOW),
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / f"{name}.html").write_text(page)
