"""The dashboard against services that answer as a test says: pages, ids and headers."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.dashboard.shop import (
    CHOREOGRAPHED,
    NOBODY,
    ORCHESTRATED,
    PAGE,
    SAGA,
    Services,
    said,
)


def test_a_saga_s_page_is_read_from_five_services_and_needs_no_token(viewer: FlaskClient, services: Services) -> None:
    assert "Undone by" in said(viewer, PAGE)
    assert "49.80 EUR taken, 49.80 EUR given back" in said(viewer, PAGE)
    requests = [request for service in services.values() for request in service.requests]
    assert {method for method, *_ in requests} == {"GET"}
    assert not [headers for _, _, headers, _ in requests if "Authorization" in headers]


def test_a_service_that_is_away_leaves_a_gap_that_is_named(viewer: FlaskClient, services: Services) -> None:
    services["pagos"].answers.clear()
    services["pagos"].answers[f"/api/v1/payments/saga/{ORCHESTRATED['saga']['cart_id']}"] = (503, {"detail": "no"})
    page = said(viewer, PAGE)
    assert "Money not known pagos cannot be reached" in page
    assert "Order cancelled" in page


def test_without_the_saga_s_own_service_the_page_says_who_is_missing_and_where(
    viewer: FlaskClient, services: Services
) -> None:
    services["orchestrator"].answers[f"/saga/{SAGA}"] = (503, {"detail": "the database is not available"})
    page = said(viewer, PAGE, 503)
    assert f"saga_orchestrator should answer at {services['orchestrator'].url}" in page
    assert "the database is not available" in page
    assert int(viewer.get(PAGE).headers["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["/", PAGE, "/nothing", "/search?id=x", f"/orders/{NOBODY}/receipt.json", "/health"])
def test_nothing_that_services_told_is_kept_by_browsers_or_on_the_way(viewer: FlaskClient, path: str) -> None:
    assert viewer.get(path).headers["Cache-Control"] == "no-store"
    style = viewer.get("/static/dashboard.css", buffered=True)
    assert "max-age=3600" in style.headers["Cache-Control"], "a file that is the same for all is kept"


@pytest.mark.parametrize("told", [ORCHESTRATED, CHOREOGRAPHED], ids=["orchestrated", "choreographed"])
@pytest.mark.parametrize("name", ["saga_id", "cart_id", "order_id"])
def test_any_id_of_a_checkout_leads_to_its_saga(viewer: FlaskClient, told: dict[str, Any], name: str) -> None:
    saga = told["saga"]
    answer = viewer.get(f"/search?id=+{saga[name]}+")
    assert answer.headers["Location"] == f"/sagas/{saga['saga_pattern']}/{saga['saga_id']}"


def test_an_id_that_nobody_knows_and_what_is_no_id_are_told_apart(viewer: FlaskClient) -> None:
    assert f"No saga, cart or order has the id {NOBODY}" in said(viewer, f"/search?id={NOBODY}", 404)
    assert "'<b>x' is no id" in said(viewer, "/search?id=<b>x", 404)


def test_an_unknown_saga_or_page_is_404(viewer: FlaskClient) -> None:
    said(viewer, f"/sagas/orchestrated/{NOBODY}", 404)
    said(viewer, f"/sagas/danced/{SAGA}", 404)
    said(viewer, "/nothing", 404)


@pytest.mark.parametrize(
    "path",
    ["/sagas/orchestrated/x", "/compare/x/y", "/orders/7/receipt", "/?cart=x", "/operations?before=x", "/search?id=x"],
)
def test_of_what_is_no_id_it_says_what_ids_are(viewer: FlaskClient, path: str) -> None:
    assert "are UUIDs, such as" in said(viewer, path, 404)


@pytest.mark.parametrize("path", ["/", PAGE, "/nothing", "/static/dashboard.css", "/health"])
def test_every_answer_has_a_policy_that_lets_nothing_in_from_elsewhere(viewer: FlaskClient, path: str) -> None:
    policy = viewer.get(path, buffered=True).headers["Content-Security-Policy"]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) == {"'self'", "'none'"}


def test_all_that_pages_load_is_there(viewer: FlaskClient) -> None:
    page = viewer.get("/").text
    style = viewer.get("/static/dashboard.css", buffered=True).text
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    links += [f"/static/{each}" for each in re.findall(r"url\((fonts/[^)]+)\)", style)]
    assert len(links) == 7
    assert {viewer.get(link, buffered=True).status_code for link in links} == {200}


def test_it_is_well_whatever_the_services_are(viewer: FlaskClient, services: Services) -> None:
    for service in services.values():
        service.answers.clear()
    assert viewer.get("/health").status_code == 200
