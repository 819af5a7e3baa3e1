"""Each rule of the audit, broken on purpose."""

from typing import Any

import pytest

from stack.audit import RULES, judge, report
from stack.rules import unrest
from tests.unit.stack_audit.audits import BOTH, CHOREOGRAPHED, books_of, good_audits

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NONE = {"count": 0, "sum": "0"}
OTHERS = {"count": 2, "sum": "-2513245182152113808"}

# Each rule, and what breaks it.
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("money_is_ordered", {"carrito__confirmed_minor": {"EUR": 1997}, "inventario__committed_minor": 1997}),
    ("money_is_ordered", {"carrito__confirmed_minor": {"USD": 1998}}),
    ("money_is_ordered", {"carrito__confirmed_minor": {"EUR": 1998, "USD": 1}, "inventario__committed_minor": 1999}),
    (
        "refunds_are_within_captures",
        {"pagos__saga_payments__EUR": {"captured_minor": 1998, "refunded_minor": -1, "net_minor": 1999}},
    ),
    (
        "refunds_are_within_captures",
        {"pagos__other_payments__EUR": {"captured_minor": 100, "refunded_minor": 101, "net_minor": -1}},
    ),
    ("refunds_are_within_captures", {"pagos__other_payments__EUR__refunded_minor": 1}),
    ("sagas_pay_once", {"pagos__overpaid_sagas": [ID]}),
    ("refunds_are_final", {"pagos__undone_but_paid_sagas": [ID]}),
    ("ledger_sums_to_zero", {"pagos__accounts__EUR__wallets": -499}),
    ("ledger_sums_to_zero", {"pagos__ledger_sum": 1}),
    ("ledger_sums_to_zero", {"pagos__accounts__USD": {"wallets": -1}, "pagos__accounts__CHF": {"wallets": 1}}),
    ("ledger_matches_payments", {"pagos__broken_payments": [ID]}),
    (
        "ledger_matches_payments",
        {"pagos__accounts__EUR": {"clearing:credit_card": 2597, "wallets": -500, "revenue": -2097}},
    ),
    ("wallets_match_ledger", {"pagos__wallets__EUR__balance_minor": 501}),
    ("wallets_match_ledger", {"pagos__broken_wallets": ["ana"]}),
    ("stock_is_conserved", {"inventario__stock__available": 7}),
    ("stock_is_conserved", {"inventario__stock__sold": 3}),
    ("stock_is_conserved", {"inventario__stock__available": -1, "inventario__stock__sold": 11}),
    ("products_match_reservations", {"inventario__broken_products": [7]}),
    ("sales_are_ordered", {"inventario__committed_minor": 999}),
    ("orders_are_paid_and_committed", {"saga_orchestrator__completed_sagas": BOTH}),
    ("orders_are_paid_and_committed", {"saga_orchestrator__completed_sagas": CHOREOGRAPHED}),
    ("orders_are_paid_and_committed", {"saga_choreography__completed_sagas": NONE}),
    ("orders_are_paid_and_committed", {"carrito__confirmed_sagas": NONE}),
    ("orders_are_paid_and_committed", {"pagos__paid_sagas": OTHERS}),
    ("orders_are_paid_and_committed", {"inventario__committed_sagas": OTHERS}),
    ("orders_are_decided", {"carrito__orders": {"pending": 1, "confirmed": 1}}),
    ("orders_have_carts", {"carrito__confirmed_without_cart": [ID]}),
    ("holds_end_in_time", {"inventario__overdue_holds": 1, "inventario__oldest_hold_overdue_seconds": 60}),
    ("holds_are_decided", {"inventario__reservations": {"held": 1, "committed": 1}}),
    ("holds_are_decided", {"inventario__stock__held": 1, "inventario__stock__available": 7}),
    ("events_are_published", {"carrito__outbox": 1}),
    ("events_are_published", {"inventario__outbox": 1}),
    ("events_are_published", {"pagos__outbox": 1}),
    ("events_are_published", {"saga_choreography__outbox": 1}),
    ("carts_have_one_saga", {"saga_orchestrator__carts_with_two_live_sagas": [ID]}),
    ("carts_have_one_saga", {"saga_choreography__carts_with_two_live_sagas": [ID]}),
]
UNREST = [
    {"saga_orchestrator__live": 1},
    {"saga_orchestrator__live": 1, "saga_orchestrator__sagas": {"stuck": 1}},
    {"saga_choreography__live": 1},
    {"carrito__carts": {"checking_out": 1}},
]


def test_a_good_set_of_books_holds() -> None:
    findings = judge(books_of(good_audits()))
    assert findings.clean, findings
    assert all(finding.verdict for finding in findings.findings)


def test_the_books_of_a_new_shop_hold() -> None:
    audits = good_audits()
    for audit in audits.values():
        for name, value in audit.items():
            empty = NONE if name.endswith("_sagas") and isinstance(value, dict) else type(value)()
            audit[name] = {} if name == "sagas" else empty if value is not None else None
    audits["inventario"]["stock"] = dict.fromkeys(("available", "held", "sold", "seeded", "restocked"), 0)
    assert judge(books_of(audits)).clean


@pytest.mark.parametrize(("rule", "changes"), BROKEN, ids=[f"{rule}-{', '.join(what)}" for rule, what in BROKEN])
def test_a_broken_rule_is_named(rule: str, changes: dict[str, Any]) -> None:
    findings = judge(books_of(good_audits(**changes)))
    assert rule in findings.broken
    assert not findings.clean
    assert rule in report(findings).splitlines()[-1]


@pytest.mark.parametrize("changes", UNREST, ids=str)
def test_what_never_ends_breaks_a_rule(changes: dict[str, Any]) -> None:
    assert judge(books_of(good_audits(**changes)), waited=True).broken == ("sagas_end",)


def test_every_rule_is_broken_here() -> None:
    assert {rule for rule, _ in BROKEN} | {"sagas_end"} == {rule.name for rule in RULES}


def test_every_rule_says_in_a_line_what_must_hold() -> None:
    assert all(rule.statement and "\n" not in rule.statement for rule in RULES)


@pytest.mark.parametrize("changes", UNREST, ids=str)
def test_while_checkouts_are_under_way_only_what_holds_in_every_snapshot_is_checked(changes: dict[str, Any]) -> None:
    on_the_way = {
        "carrito__orders": {"pending": 1, "confirmed": 1},
        "carrito__confirmed_minor": {"EUR": 999},
        "inventario__committed_minor": 2997,
        "inventario__stock__available": 7,
        "inventario__stock__held": 1,
        "inventario__reservations": {"held": 1, "committed": 1},
        "pagos__paid_sagas": {"count": 3, "sum": "1"},
        "pagos__outbox": 3,
    }
    findings = judge(books_of(good_audits(**on_the_way, **changes)))
    assert findings.unrest
    assert findings.broken == ()
    assert not findings.clean
    assert {finding.rule.name for finding in findings.findings if finding.verdict is None} == {
        rule.name for rule in RULES if not rule.always
    }
    assert "Not quiet" in report(findings)


@pytest.mark.parametrize(
    ("rule", "changes"), [each for each in BROKEN if next(r for r in RULES if r.name == each[0]).always]
)
def test_a_rule_of_every_snapshot_is_checked_also_then(rule: str, changes: dict[str, Any]) -> None:
    assert rule in judge(books_of(good_audits(saga_orchestrator__live=1, **changes))).broken


@pytest.mark.parametrize(
    "after",
    [
        {"live": 1},
        {"sagas": {"completed": 2, "compensated": 2}},  # one came and ended while the others were read
        {"sagas": {"compensated": 3}},  # one was undone
    ],
)
def test_what_moves_while_the_books_are_read_is_not_quiet(after: dict[str, Any]) -> None:
    assert unrest(books_of(good_audits(), **after))


def test_a_hold_that_has_just_run_out_is_no_break() -> None:
    changes = {"inventario__overdue_holds": 1, "inventario__oldest_hold_overdue_seconds": 1}
    assert judge(books_of(good_audits(**changes))).clean
