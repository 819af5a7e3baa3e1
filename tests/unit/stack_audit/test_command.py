"""`python -m stack.audit` against services that answer as a test says."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shared.auditing.books import read_books
from shared.auditing.services import AuditUnreadable
from shared.auditing.services import Services as AuditedServices
from stack.audit import run as audit
from stack.errors import StackError
from stack.processes import PROCESSES
from tests.unit.stack_audit.audits import (
    CHOREOGRAPHED,
    DECLINED,
    ORCHESTRATED,
    UNDONE,
    Service,
    good_audits,
    good_facts,
    serving,
)

ALL = sorted([ORCHESTRATED, CHOREOGRAPHED, UNDONE, DECLINED])
Services = dict[str, Service]


@pytest.fixture
def services() -> Iterator[Services]:
    """Services whose books are in order."""
    audits, facts = good_audits(), good_facts()
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(Service(audits[name], facts[name]))) for name in audits}


def urls(services: Services) -> dict[str, str]:
    return {name: service.url for name, service in services.items()}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    def command(services: Services, *arguments: str) -> int:
        for name in audit.AUDITED:
            monkeypatch.setenv(PROCESSES[name].url_setting, services[name].url)
        monkeypatch.setattr("sys.argv", ["audit", "--home", str(tmp_path), *arguments])
        return audit.main()

    return command


def looked_at(services: Services) -> list[str]:
    """Return the sagas that were examined since the last call."""
    queried = services["pagos"].queried
    found, queried[:] = sorted(set(queried)), []
    return found


def test_good_books(run: Callable[..., int], services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(services) == 0
    shown = capsys.readouterr().out
    assert "Captured - refunded = total of the confirmed order" in shown
    assert shown.count(" holds ") >= len(audit.RULES)
    assert f"All {len(audit.RULES)} rules hold." in shown


def test_a_broken_rule_is_named_and_fails(
    run: Callable[..., int], services: Services, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0)
    services["pagos"].audit["ledger_sum"] = 5
    assert run(services) == 1
    assert "BROKEN: ledger_sums_to_zero" in capsys.readouterr().out


def test_sagas_that_were_not_checked_fail_it_too(
    run: Callable[..., int], services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    services["saga_orchestrator"].facts[UNDONE] = {"status": "running"}
    assert run(services) == 3
    assert f"{UNDONE} (running)" in capsys.readouterr().out


def test_a_service_that_is_down_is_named(
    run: Callable[..., int], services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    services["inventario"].url = "http://127.0.0.1:1"
    assert run(services) == 2
    assert "inventario: connection refused or broken (http://127.0.0.1:1/audit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((503, b'{"title": "Not now"}'), "carrito: HTTP 503"),
        ((200, b"<html>"), "carrito: HTTP 200 without"),
        ((200, b"[]"), "carrito: HTTP 200 without a JSON object"),
        ((200, b"{}"), "carrito: this is no audit: carts: Field required"),
        (
            (200, json.dumps(good_audits(carrito__confirmed_minor={"EUR": "much"})["carrito"]).encode()),
            "confirmed_minor.EUR",
        ),
    ],
)
def test_what_is_no_audit_is_said(services: Services, answer: tuple[int, bytes], why: str) -> None:
    services["carrito"].raw = answer
    with pytest.raises(AuditUnreadable, match=why):
        read_books(AuditedServices(urls(services), None))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/audit/changes", {"next_xid": 5}),
        ("/audit/sagas", {"saga_ids": 7}),
        ("/audit/facts", {"facts": [{"saga_id": UNDONE, "status": 7}]}),
        ("/audit/facts", {}),
    ],
)
def test_what_is_no_answer_to_an_auditor_is_said(
    services: Services, path: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrito = services["carrito"]
    sane = carrito.answer

    def answered(called: str, body: Any) -> Any:
        return answer if called.startswith(path) else sane(called, body)

    monkeypatch.setattr(carrito, "answer", answered)
    with pytest.raises(StackError, match=rf"carrito: this is no audit: .*{path}"):
        audit.check(urls(services))


def test_it_waits_until_the_sagas_that_it_saw_have_ended(services: Services) -> None:
    calls: list[str] = []
    orchestrator = services["saga_orchestrator"]
    orchestrator.facts[ORCHESTRATED] = {"status": "running"}

    def end_it(path: str) -> None:
        calls.append(path)
        if calls.count("/audit") == 3:
            orchestrator.facts[ORCHESTRATED] = {"status": "completed"}

    orchestrator.before = end_it
    assert audit.check(urls(services), wait_seconds=60).clean


def test_it_does_not_wait_for_sagas_that_begin_meanwhile(services: Services) -> None:
    orchestrator = services["saga_orchestrator"]

    def begin_one(path: str) -> None:
        if path == "/audit":
            orchestrator.change(f"01890a5d-ac96-774b-bcce-{orchestrator.next_xid:012}", {"status": "running"})

    orchestrator.before = begin_one
    assert audit.check(urls(services), wait_seconds=600).clean


def test_what_one_service_knows_a_moment_later_is_not_broken(services: Services) -> None:
    carrito = services["carrito"]
    confirmed, reads = dict(carrito.facts[ORCHESTRATED]), [0]
    carrito.facts[ORCHESTRATED] = {**confirmed, "status": "cancelled", "cart": None}

    def confirm_it(path: str) -> None:
        reads[0] += path == "/audit/facts"
        if reads[0] == 3:
            carrito.facts[ORCHESTRATED] = confirmed

    carrito.before = confirm_it
    assert audit.check(urls(services)).clean
    assert reads[0] >= 3


def test_a_shop_without_choreographed_checkouts_has_books_too(services: Services) -> None:
    services.pop("saga_choreography")
    for each in ("carrito", "inventario", "pagos"):
        del services[each].facts[CHOREOGRAPHED]
    assert audit.check(urls(services)).clean


# Which sagas are examined.


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes" / "audit.json"


def test_the_first_audit_looks_at_all_sagas_and_the_next_at_those_that_changed(services: Services, notes: Path) -> None:
    assert audit.check(urls(services), 0, notes).full
    assert looked_at(services) == ALL
    assert not audit.check(urls(services), 0, notes).full
    assert looked_at(services) == []
    services["carrito"].change(UNDONE, services["carrito"].facts[UNDONE])
    services["inventario"].change(DECLINED, services["inventario"].facts[DECLINED])
    assert audit.check(urls(services), 0, notes).clean
    assert looked_at(services) == sorted([UNDONE, DECLINED])
    assert audit.check(urls(services), 0, notes, full=True).full
    assert looked_at(services) == ALL


def test_a_saga_that_was_in_order_and_is_changed_is_found(
    services: Services, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0)
    assert audit.check(urls(services), 0, notes).clean
    carrito = services["carrito"]
    carrito.change(ORCHESTRATED, {**carrito.facts[ORCHESTRATED], "total_minor": 259900})
    assert audit.check(urls(services), 0, notes).examined.broken["money_is_ordered"] == [ORCHESTRATED]


def test_what_was_not_in_order_is_looked_at_until_it_is(
    services: Services, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0)
    order = services["carrito"].facts[ORCHESTRATED]
    order["total_minor"] = 1
    services["saga_choreography"].facts[CHOREOGRAPHED] = {"status": "running"}
    for _ in range(2):
        findings = audit.check(urls(services), 0, notes)
        assert findings.examined.wrong == {ORCHESTRATED}
        assert set(findings.unchecked) == {CHOREOGRAPHED}
        looked_at(services)
    order["total_minor"] = 999
    services["saga_choreography"].facts[CHOREOGRAPHED] = {"status": "completed"}
    assert audit.check(urls(services), 0, notes).clean
    assert looked_at(services) == sorted([ORCHESTRATED, CHOREOGRAPHED])
    assert audit.check(urls(services), 0, notes).examined.checked == 0


@pytest.mark.parametrize(
    "loss",
    [
        {"place": "elsewhere"},  # another database, or this one after a restore
        {"begins": 101},  # changes after the last audit were purged
        {"next_xid": 99},  # the database was restored to an earlier time
    ],
)
def test_notes_that_no_longer_fit_are_not_relied_on(services: Services, notes: Path, loss: dict[str, Any]) -> None:
    assert audit.check(urls(services), 0, notes).full
    for name, value in loss.items():
        setattr(services["pagos"], name, value)
    assert audit.check(urls(services), 0, notes).full


@pytest.mark.parametrize("text", ["", "[]", '{"open": 7}'])
def test_notes_that_cannot_be_read_are_none(services: Services, notes: Path, text: str) -> None:
    notes.parent.mkdir()
    notes.write_text(text)
    assert audit.check(urls(services), 0, notes).full


def test_what_changes_while_an_audit_reads_is_the_next_one_s(services: Services, notes: Path) -> None:
    carrito = services["carrito"]

    def change_it(path: str) -> None:
        if path == "/audit/facts":
            carrito.before = lambda _: None
            carrito.change(DECLINED, {"cart": None})

    carrito.before = change_it
    assert audit.check(urls(services), 0, notes).clean
    looked_at(services)
    assert audit.check(urls(services), 0, notes).clean
    assert looked_at(services) == [DECLINED]
