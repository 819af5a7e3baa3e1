"""Each rule of the audit, broken on purpose: in the books of a service, or by one saga among others."""

from typing import Any

import pytest

from shared.auditing.check import RULES, SAGA_RULES
from shared.auditing.facts import AuditedSaga, OrderFact, PaymentFact, SaleFact
from shared.auditing.findings import Examined, Findings, find
from stack.audit.report import report
from tests.unit.stack_audit.audits import (
    CHOREOGRAPHED,
    DECLINED,
    LINES,
    ORCHESTRATED,
    UNDONE,
    Facts,
    books_of,
    good_audits,
    good_facts,
)

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
BY_HAND = "8b04e47f-1d2b-4a1f-9c4e-6f1d1f2f3a4b"

# Each rule about books, and a change that breaks it.
BROKEN: list[tuple[str, dict[str, Any]]] = [
    (
        "refunds_are_within_captures",
        {"pagos__saga_payments__EUR": {"captured_minor": 1998, "refunded_minor": -1, "net_minor": 1999}},
    ),
    (
        "refunds_are_within_captures",
        {"pagos__other_payments__EUR": {"captured_minor": 100, "refunded_minor": 101, "net_minor": -1}},
    ),
    ("refunds_are_within_captures", {"pagos__other_payments__EUR__refunded_minor": 1}),
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
    ("holds_end_in_time", {"inventario__overdue_holds": 1, "inventario__oldest_hold_overdue_seconds": 60}),
    *(
        ("events_are_published", {f"{service}__outbox": 1, f"{service}__oldest_unpublished_seconds": 60})
        for service in ("carrito", "inventario", "pagos", "saga_choreography")
    ),
    ("carts_have_one_saga", {"saga_orchestrator__carts_with_two_live_sagas": [ID]}),
    ("carts_have_one_saga", {"saga_choreography__carts_with_two_live_sagas": [ID]}),
]
# Each rule about a saga, the saga that breaks it, and how.
BROKEN_BY: list[tuple[str, str, dict[str, Any]]] = [
    ("money_is_ordered", ORCHESTRATED, {f"carrito__{ORCHESTRATED}__total_minor": 259900}),
    ("orders_are_as_frozen", CHOREOGRAPHED, {f"carrito__{CHOREOGRAPHED}__as_frozen": False}),
    ("money_is_ordered", ORCHESTRATED, {f"pagos__{ORCHESTRATED}__captured_minor": 100}),
    ("money_is_ordered", CHOREOGRAPHED, {f"pagos__{CHOREOGRAPHED}__refunded_minor": 1}),
    ("money_is_ordered", CHOREOGRAPHED, {f"pagos__{CHOREOGRAPHED}__currency": "USD"}),
    ("money_is_ordered", UNDONE, {f"pagos__{UNDONE}__refunded_minor": 998}),
    ("money_is_ordered", DECLINED, {f"pagos__{DECLINED}__captured_minor": 1}),
    ("sales_are_ordered", ORCHESTRATED, {f"inventario__{ORCHESTRATED}__lines": [[7, 2, 999]]}),
    ("sales_are_ordered", ORCHESTRATED, {f"inventario__{ORCHESTRATED}__lines": [[8, 1, 999]]}),
    ("sales_are_ordered", CHOREOGRAPHED, {f"inventario__{CHOREOGRAPHED}__lines": [[7, 1, 998]]}),
    ("sales_are_ordered", CHOREOGRAPHED, {f"inventario__{CHOREOGRAPHED}__lines": None}),
    ("sales_are_ordered", CHOREOGRAPHED, {f"carrito__{CHOREOGRAPHED}__lines": [[7, 1, 999], [8, 1, 1]]}),
    ("sales_are_ordered", UNDONE, {f"inventario__{UNDONE}__status": "committed"}),
    ("orders_add_up", UNDONE, {f"carrito__{UNDONE}__total_minor": 1000}),
    ("orders_add_up", UNDONE, {f"carrito__{UNDONE}__lines": None}),
    ("orders_are_paid_and_committed", ORCHESTRATED, {f"carrito__{ORCHESTRATED}__status": "cancelled"}),
    ("orders_are_paid_and_committed", ORCHESTRATED, {f"inventario__{ORCHESTRATED}__status": "expired"}),
    ("orders_are_paid_and_committed", CHOREOGRAPHED, {f"pagos__{CHOREOGRAPHED}__captured": 0}),
    ("orders_are_paid_and_committed", UNDONE, {f"saga_orchestrator__{UNDONE}__status": "completed"}),
    ("orders_are_paid_and_committed", ORCHESTRATED, {f"saga_orchestrator__{ORCHESTRATED}__status": "compensated"}),
    ("orders_are_decided", UNDONE, {f"carrito__{UNDONE}__status": "pending"}),
    ("orders_have_carts", ORCHESTRATED, {f"carrito__{ORCHESTRATED}__cart": None}),
    ("orders_have_carts", UNDONE, {f"carrito__{UNDONE}__cart": "checking_out"}),
    ("holds_are_decided", DECLINED, {f"inventario__{DECLINED}__status": "held"}),
    ("sagas_pay_once", ORCHESTRATED, {f"pagos__{ORCHESTRATED}__payments": 2}),
    ("refunds_are_final", UNDONE, {f"pagos__{UNDONE}__captured": 1}),
    ("sagas_have_one_style", ORCHESTRATED, {f"saga_choreography__{ORCHESTRATED}": {"status": "completed"}}),
    ("sagas_end", UNDONE, {f"saga_choreography__{UNDONE}": {"status": "stuck"}}),
]
LIVE = ["pending", "running", "compensating", "stuck"]


def sagas_of(facts: Facts, **after: Any) -> list[AuditedSaga]:
    """Return all sagas of these facts; `after` is the orchestrator's second answer about some of them."""

    def fact(service: str, kind: Any, saga_id: str) -> Any:
        known = facts[service].get(saga_id)
        return known and kind.model_validate({"saga_id": saga_id, **known})

    def statuses(saga_id: str) -> dict[str, str]:
        services = ("saga_orchestrator", "saga_choreography")
        return {service: facts[service][saga_id]["status"] for service in services if saga_id in facts[service]}

    return [
        AuditedSaga(
            saga_id,
            statuses(saga_id),
            {**statuses(saga_id), **({"saga_orchestrator": after[saga_id]} if saga_id in after else {})},
            fact("carrito", OrderFact, saga_id),
            fact("inventario", SaleFact, saga_id),
            fact("pagos", PaymentFact, saga_id),
        )
        for saga_id in sorted({saga_id for known in facts.values() for saga_id in known})
    ]


def found(facts: Facts, kept_since: float = 0, *, waited: bool = False, **audits: Any) -> Findings:
    """Return the findings of an audit of these facts, and of good books with these changes."""
    examined = Examined()
    examined.examine(sagas_of(facts), SAGA_RULES, kept_since)
    return find(RULES, books_of(good_audits(**audits)), examined, full=True, waited=waited)


def test_a_good_set_of_books_holds() -> None:
    findings = found(good_facts())
    assert findings.clean, findings
    assert findings.examined.checked == 4


def test_the_books_of_a_new_shop_hold() -> None:
    audits = good_audits()
    for audit in audits.values():
        for name, value in audit.items():
            audit[name] = type(value)() if value is not None else None
    audits["inventario"]["stock"] = dict.fromkeys(("available", "held", "sold", "seeded", "restocked"), 0)
    assert find(RULES, books_of(audits), Examined(), full=True).clean


@pytest.mark.parametrize(("rule", "changes"), BROKEN, ids=[f"{rule}-{', '.join(what)}" for rule, what in BROKEN])
def test_books_that_break_a_rule_are_told(rule: str, changes: dict[str, Any]) -> None:
    findings = found(good_facts(), **changes)
    assert rule in findings.broken
    assert not findings.clean
    assert rule in report(findings).splitlines()[-1]


@pytest.mark.parametrize(("rule", "saga", "changes"), BROKEN_BY)
def test_a_saga_that_breaks_a_rule_is_named(rule: str, saga: str, changes: dict[str, Any]) -> None:
    findings = found(good_facts(**changes))
    assert rule in findings.broken
    row = next(each for each in findings.findings if each.rule.name == rule)
    assert row.verdict.figures == f"sagas that don't: {saga}"


@pytest.mark.parametrize(("rule", "saga", "changes"), [each for each in BROKEN_BY if each[0] != "sagas_end"])
@pytest.mark.parametrize("status", LIVE)
def test_it_is_named_whatever_other_sagas_do(rule: str, saga: str, changes: dict[str, Any], status: str) -> None:
    facts = good_facts(**changes)
    facts["saga_orchestrator"][ID] = {"status": status}
    facts["carrito"][ID] = {**WHOLE["carrito"], "status": "pending", "cart": "checking_out"}
    facts["inventario"][ID] = {"status": "held", "lines": [[7, 1, 999]]}
    findings = found(facts)
    assert findings.examined.broken[rule] == [saga]
    assert findings.unchecked == {ID: status}


def test_every_rule_is_broken_here() -> None:
    assert {each[0] for each in (*BROKEN, *BROKEN_BY)} == {rule.name for rule in RULES}


def test_every_rule_says_in_a_line_what_must_hold() -> None:
    assert all(rule.statement and "\n" not in rule.statement for rule in RULES)


def test_many_broken_sagas_are_counted_and_some_named() -> None:
    facts = good_facts()
    for number in range(30):
        facts["pagos"][f"01890a5d-ac96-774b-bcce-b302099b{number:04}"] = facts["pagos"][ORCHESTRATED]
    told = report(found(facts))
    assert "30 in all" in told
    assert "01890a5d-ac96-774b-bcce-b302099b0000" in told


@pytest.mark.parametrize("status", ["running", "compensating"])
def test_what_has_not_ended_is_not_clean(status: str) -> None:
    facts = good_facts(**{f"saga_orchestrator__{ORCHESTRATED}__status": status})
    findings = found(facts)
    assert (findings.broken, findings.unchecked, findings.clean) == ((), {ORCHESTRATED: status}, False)
    assert f"NOT CHECKED, since they have not ended: {ORCHESTRATED} ({status})" in report(findings)
    assert found(facts, waited=True).broken == ("sagas_end",)


def test_a_saga_that_moves_while_it_is_read_is_not_judged() -> None:
    examined = Examined()
    examined.examine(sagas_of(good_facts(), **{ORCHESTRATED: "compensating"}), SAGA_RULES, 0)
    assert examined.unchecked == {ORCHESTRATED: "moving"}


WHOLE: dict[str, dict[str, Any]] = {
    "carrito": {"status": "confirmed", "total_minor": 999, "currency": "EUR", "cart": "checked_out", "lines": LINES},
    "inventario": {"status": "committed", "lines": LINES},
    "pagos": {
        "currency": "EUR",
        "captured_minor": 999,
        "refunded_minor": 0,
        "payments": 1,
        "captured": 1,
        "undone": False,
    },
}


def by_hand(**without: Any) -> Facts:
    """Return a checkout that no saga service knows, complete except for the facts that a service lacks."""
    facts = good_facts()
    for service, fact in WHOLE.items():
        if service not in without:
            facts[service][BY_HAND] = dict(fact)
    return facts


def test_a_whole_checkout_made_by_hand_is_sound_and_told() -> None:
    findings = found(by_hand())
    assert findings.clean
    assert f"Made by hand, and sound: {BY_HAND}." in report(findings)


def test_an_audit_looks_at_a_saga_of_whatever_id() -> None:
    """Participants are told the ids of sagas; this one would have been made in the year 10889."""
    saga_id = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    facts = by_hand()
    for known in facts.values():
        if BY_HAND in known:
            known[saga_id] = known.pop(BY_HAND)
    findings = found(facts, kept_since=2e9)
    assert (findings.clean, findings.examined.by_hand) == (True, {saga_id})


@pytest.mark.parametrize("service", WHOLE)
def test_a_part_of_one_is_not(service: str) -> None:
    findings = found(by_hand(**{service: None}))
    assert {"money_is_ordered", "sales_are_ordered"} & set(findings.broken)
    assert findings.examined.wrong == {BY_HAND}


def test_what_is_begun_by_hand_is_undecided() -> None:
    facts = by_hand(pagos=None)
    facts["carrito"][BY_HAND]["status"] = "pending"
    facts["inventario"][BY_HAND]["status"] = "held"
    findings = found(facts)
    assert findings.broken == ()
    assert set(findings.unchecked) == {BY_HAND}


def test_a_checkout_that_its_saga_service_lost_is_not_taken_for_one_made_by_hand() -> None:
    facts = good_facts()
    del facts["saga_choreography"][CHOREOGRAPHED]
    facts["carrito"][CHOREOGRAPHED]["saga_pattern"] = "choreographed"
    findings = found(facts)
    assert (findings.clean, set(findings.unchecked)) == (False, {CHOREOGRAPHED})
    assert found(facts, kept_since=2e9).clean, "it need not know it any more"


def test_a_saga_that_is_no_longer_kept_still_has_to_agree() -> None:
    facts = good_facts()
    del facts["saga_orchestrator"][ORCHESTRATED], facts["saga_orchestrator"][UNDONE]
    findings = found(facts, kept_since=2e9)
    assert (findings.clean, findings.examined.unkept) == (True, {ORCHESTRATED, UNDONE})
    assert "No longer kept by their saga service, and sound: 2." in report(findings)
    facts["carrito"][ORCHESTRATED]["total_minor"] = 1
    assert "money_is_ordered" in found(facts, kept_since=2e9).broken


def test_a_hold_that_has_just_run_out_is_no_break() -> None:
    overdue = found(good_facts(), inventario__overdue_holds=1, inventario__oldest_hold_overdue_seconds=1)
    assert overdue.clean


def test_an_event_that_has_just_been_written_is_no_break() -> None:
    assert found(good_facts(), pagos__outbox=5, pagos__oldest_unpublished_seconds=1).clean


def test_a_rule_about_books_names_the_sagas_and_carts_that_break_it_where_they_are_known() -> None:
    changes: dict[str, Any] = {
        "pagos__broken_payments": [ID],
        "pagos__sagas_of_broken_payments": [UNDONE],
        "saga_orchestrator__carts_with_two_live_sagas": [ID],
    }
    ids = {each.rule.name: each.verdict.ids for each in found(good_facts(), **changes).findings if each.broken}
    assert ids == {"ledger_matches_payments": (UNDONE,), "carts_have_one_saga": (ID,)}
