"""The page of the books, with services whose books are as a test says."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard import auditor
from dashboard.app import create_app
from dashboard.auditor import Known
from dashboard.books import books_of
from dashboard.config import Settings
from dashboard.pages import books_page
from dashboard.words import State
from shared.auditing.check import RULES, check
from shared.testing import concurrently, wait_until
from tests.unit.dashboard import answering
from tests.unit.dashboard.books import GOOD, HERE, NOW, PAGES, finished, kept_money
from tests.unit.dashboard.text import HOSTILE, Text
from tests.unit.stack_audit.audits import ORCHESTRATED, UNDONE, Service, good_audits, good_facts, serving

URLS = {
    "carrito": "carrito_service_url",
    "inventario": "inventario_service_url",
    "pagos": "pagos_service_url",
    "saga_orchestrator": "orchestrator_url",
    "saga_choreography": "choreography_url",
}
TOKEN = "operators' own"
IN_ORDER = f"All {len(RULES)} rules hold"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report broken rules at once, and begin an audit at each view."""
    monkeypatch.setattr(auditor, "check", partial(check, settle_seconds=0))
    monkeypatch.setattr(auditor, "AGAIN_SECONDS", 0)


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    """Services whose books are in order."""
    audits, facts = good_audits(), good_facts()
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving(Service(audits[name], facts[name]))) for name in audits}


@pytest.fixture
def viewer(services: dict[str, Service]) -> FlaskClient:
    return viewer_of({name: service.url for name, service in services.items()})


def viewer_of(urls: dict[str, str]) -> FlaskClient:
    settings: Any = {URLS[name]: url for name, url in urls.items()}
    return create_app(Settings(_env_file=None, **settings)).test_client()


def said(viewer: FlaskClient, wanted: str) -> str:
    """Return the page when it contains this text."""

    def page() -> str:
        markup = viewer.get("/books").text
        return markup if wanted in Text(markup).text else ""

    return wait_until(page, f"the page says {wanted!r}", 60)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_was_when_somebody_looked(name: str) -> None:
    """`python -m tests.unit.dashboard.books` writes them again."""
    assert PAGES[name] == (HERE / f"{name}.html").read_text()


def test_books_that_are_in_order_say_so_rule_by_rule(viewer: FlaskClient) -> None:
    page = said(viewer, IN_ORDER)
    for rule in RULES:
        assert f'id="rule-{rule.name}" class="done"' in page
        assert rule.statement in Text(page).text


def test_a_broken_rule_is_named_with_the_sagas_that_break_it(viewer: FlaskClient, services: dict[str, Service]) -> None:
    said(viewer, IN_ORDER)
    carrito = services["carrito"]
    carrito.change(ORCHESTRATED, {**carrito.facts[ORCHESTRATED], "total_minor": 1000})
    page = said(viewer, "Broken: money_is_ordered, orders_add_up")
    row = page.partition('id="rule-money_is_ordered" class="failed"')[2].partition("</tr>")[0]
    assert f'href="/search?id={ORCHESTRATED}"' in row
    assert "broken by 1 saga" in row
    carrito.change(ORCHESTRATED, {**carrito.facts[ORCHESTRATED], "total_minor": 999})
    said(viewer, IN_ORDER)


def test_a_first_look_says_that_nothing_is_known_yet(viewer: FlaskClient, services: dict[str, Service]) -> None:
    may_go_on = threading.Event()
    services["pagos"].before = lambda path: None if path == "/audit/changes" else _wait(may_go_on)
    try:
        page = viewer.get("/books").text
        assert "The first audit is under way" in page
        assert IN_ORDER not in page
        assert page.count('class="idle"') == len(RULES)
    finally:
        may_go_on.set()
    said(viewer, IN_ORDER)


def _wait(event: threading.Event) -> None:
    event.wait(60)


def test_there_is_one_audit_at_a_time_whoever_looks(viewer: FlaskClient, services: dict[str, Service]) -> None:
    may_go_on, books_read = threading.Event(), []

    def count(path: str) -> None:
        if path == "/audit":
            books_read.append(path)
            _wait(may_go_on)

    services["carrito"].before = count
    try:
        application = viewer.application
        pages = concurrently(*[lambda: application.test_client().get("/books").text] * 8)
        assert all("The first audit is under way" in page for page in pages)
        wait_until(lambda: books_read, "the audit reads carrito's books", 60)
        assert len(books_read) == 1
    finally:
        may_go_on.set()
    said(viewer, IN_ORDER)


def test_the_next_audit_looks_at_what_changed(viewer: FlaskClient, services: dict[str, Service]) -> None:
    said(viewer, IN_ORDER)
    pagos = services["pagos"]
    said(viewer, "0 sagas checked: those that changed since the audit before")
    pagos.queried.clear()
    pagos.change(UNDONE, pagos.facts[UNDONE])
    wait_until(lambda: viewer.get("/books") and pagos.queried, "another audit looks at it", 60)
    assert set(pagos.queried) == {UNDONE}


@pytest.mark.parametrize("service", URLS)
def test_without_a_service_nothing_is_green_and_it_is_said_which_one_is_away(
    viewer: FlaskClient, services: dict[str, Service], service: str
) -> None:
    said(viewer, IN_ORDER)
    services[service].raw = (503, b'{"detail": "not now"}')
    page = said(viewer, f"Not known: {service} cannot be reached")
    assert page.count('class="idle"') == len(RULES)
    assert '<tr id="rule-money_is_ordered" class="done"' not in page
    services[service].raw = None
    said(viewer, IN_ORDER)


def test_what_is_known_is_shown_to_nobody_while_no_service_says_who_may_see_it(
    viewer: FlaskClient, services: dict[str, Service]
) -> None:
    services["saga_orchestrator"].facts[UNDONE] = {"status": "running"}
    assert UNDONE in said(viewer, f"{IN_ORDER} for the sagas that have ended")
    for service in services.values():
        service.raw = (503, b'{"detail": "not now"}')
    answer = viewer.get("/books")
    assert (answer.status_code, UNDONE in answer.text) == (503, False)
    assert all(f"{name} should answer at" in Text(answer.text).text for name in services)
    services["carrito"].raw = None
    assert UNDONE in viewer.get("/books").text, "one of them says it"


def test_an_audit_that_does_not_come_to_its_end_leaves_nothing_green(
    viewer: FlaskClient, services: dict[str, Service]
) -> None:
    said(viewer, IN_ORDER)
    good = services["pagos"].audit
    services["pagos"].audit = {"no": "audit"}
    page = said(viewer, "Not known: pagos: this is no audit")
    assert page.count('class="idle"') == len(RULES)
    services["pagos"].audit = good
    said(viewer, IN_ORDER)


def test_sagas_that_have_not_ended_are_named(viewer: FlaskClient, services: dict[str, Service]) -> None:
    services["saga_orchestrator"].facts[UNDONE] = {"status": "running"}
    page = said(viewer, f"{IN_ORDER} for the sagas that have ended")
    row = page.partition("Not judged yet")[2]
    assert f'href="/search?id={UNDONE}"' in row
    assert "running" in row


def test_only_those_see_it_whom_the_services_tell_their_books() -> None:
    with answering.serving({"/audit/changes": (401, {"detail": "for operators"})}) as service:
        viewer = viewer_of(dict.fromkeys(URLS, service.url))
        answer = viewer.get("/books")
        assert (answer.status_code, "This is for operators" in answer.text) == (401, True)
        assert viewer.application.extensions["auditor"].look("", may_begin=False) == Known()
    with answering.serving({"/audit/changes": {}}) as service:
        viewer = viewer_of(dict.fromkeys(URLS, service.url))
        answering.sign_in(viewer, TOKEN)
        said(viewer, "Not known:")  # an audit was begun, and got an invalid answer
        assert {headers["Authorization"] for _, _, headers, _ in service.requests} == {f"Bearer {TOKEN}"}


def test_since_when_a_rule_is_broken_is_kept_while_it_is() -> None:
    first = auditor._finished(finished(pagos__ledger_sum=5).findings, None, 0.1)
    second = auditor._finished(finished(pagos__ledger_sum=6).findings, first, 0.1)
    third = auditor._finished(finished().findings, second, 0.1)
    assert second.since == first.since
    assert third.since["ledger_sums_to_zero"] > first.since["ledger_sums_to_zero"]
    assert third.since["money_is_ordered"] == first.since["money_is_ordered"]


def test_many_that_break_a_rule_are_counted_and_the_first_are_named() -> None:
    sagas = [kept_money(f"01a21726-0000-7000-8000-{number:012}") for number in range(50)]
    view = books_of(Known(finished=finished(*sagas)), [], NOW)
    [row] = [each for each in view.rows if each.rule.name == "money_is_ordered"]
    assert (row.state, len(row.ids), row.broken_by) == (State.FAILED, 20, 50)
    assert "and 30 more" in Text(books_page(view, NOW)).text


def test_whatever_people_chose_is_seen_as_text() -> None:
    view = books_of(Known(finished=finished(pagos__broken_wallets=[HOSTILE])), [], NOW)
    page = Text(books_page(view, NOW))
    assert "<script>alert(1)</script>" in page.text
    assert "img" not in {tag for tag, _ in page.tags}


def test_what_was_known_is_not_green_while_a_service_is_away() -> None:
    view = books_of(GOOD, ["carrito", "pagos"], NOW)
    assert {row.state for row in view.rows} == {State.IDLE}
    assert view.title == "Not known: carrito, pagos cannot be reached"


def test_what_was_read_long_ago_is_not_green_until_it_is_read_again() -> None:
    fresh, stale = (books_of(GOOD, [], NOW + timedelta(seconds=seconds)) for seconds in (30, 90))
    assert {row.state for row in fresh.rows} == {State.DONE}
    assert {row.state for row in stale.rows} == {State.IDLE}
    assert "being read again" in stale.title
