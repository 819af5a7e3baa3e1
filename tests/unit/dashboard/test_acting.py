"""Operators' actions on a saga's page, and the list of operators' actions."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.dashboard.answering import Service, sign_in
from tests.unit.dashboard.shop import (
    ORCHESTRATED,
    PAGE,
    SAGA,
    TOKEN,
    Services,
    said,
)


def undo(client: FlaskClient, **more: Any) -> Any:
    return client.post(f"{PAGE}/compensate", data={"reason": "changed my mind", "by": "luz", **more})


@pytest.fixture
def operated(services: Services) -> Service:
    """The orchestrator, with a completed saga that can be compensated."""
    orchestrator = services["orchestrator"]
    orchestrator.answers[f"/saga/{SAGA}"] = {
        **ORCHESTRATED["saga"],
        "status": "completed",
        "turned_back": False,
        "steps": [{**step, "status": "succeeded"} for step in ORCHESTRATED["saga"]["steps"]],
    }
    orchestrator.answers[f"/saga/{SAGA}/compensate"] = (202, {})
    return orchestrator


def test_a_preview_says_what_will_be_done_in_order_and_does_nothing(viewer: FlaskClient, operated: Service) -> None:
    page = said(viewer, f"{PAGE}/compensate")
    words = ["Restock (inventario)", "Cancel order (carrito)", "Refund (pagos)", "Release stock", "Reopen cart"]
    assert [page.index(word) for word in words] == sorted(page.index(word) for word in words)
    assert {method for method, *_ in operated.requests} == {"GET"}


def test_an_operator_s_reason_and_name_are_passed_on_and_the_page_is_shown_again(
    viewer: FlaskClient, operated: Service
) -> None:
    answer = undo(viewer)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    [(_, path, headers, body)] = [request for request in operated.requests if request[0] == "POST"]
    assert (path, body) == (f"/saga/{SAGA}/compensate", {"reason": "changed my mind", "by": "luz"})
    assert "Authorization" not in headers


def test_the_token_is_requested_once_and_kept_where_no_script_and_no_other_site_sees_it(
    viewer: FlaskClient, operated: Service
) -> None:
    operated.answers[f"/saga/{SAGA}/compensate"] = (401, {"detail": "this is for operators"})
    refused = undo(viewer)
    assert refused.status_code == 401
    assert 'name="token"' in refused.text
    assert 'value="changed my mind"' in refused.text, "nothing has to be typed twice"
    operated.answers[f"/saga/{SAGA}/compensate"] = (202, {})
    cookie = undo(viewer, token=TOKEN).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert "Expires" not in cookie
    undo(viewer)
    tokens = [headers.get("Authorization") for method, _, headers, _ in operated.requests if method == "POST"]
    assert tokens == [None, f"Bearer {TOKEN}", f"Bearer {TOKEN}"]
    assert TOKEN not in viewer.get(f"{PAGE}/compensate").text


def test_a_refusal_is_shown_with_its_reason(viewer: FlaskClient, operated: Service) -> None:
    operated.answers[f"/saga/{SAGA}/compensate"] = (409, {"detail": "the saga is too old"})
    answer = undo(viewer)
    assert answer.status_code == 409
    assert "the saga is too old" in answer.text


@pytest.mark.parametrize(
    ("status", "action", "words"),
    [
        ("compensated", "compensate", "This checkout is undone already."),
        ("compensating", "compensate", "This checkout is being undone already."),
        ("compensated", "retry", "This saga has ended: it is compensated."),
        ("completed", "retry", "This saga has ended: it is completed."),
    ],
)
def test_where_there_is_nothing_to_do_no_reason_is_requested(
    viewer: FlaskClient, operated: Service, status: str, action: str, words: str
) -> None:
    operated.answers[f"/saga/{SAGA}"] |= {"status": status, "turned_back": status != "completed"}
    page = said(viewer, f"{PAGE}/{action}", 409)
    assert words in page
    assert "What will be done" not in page


def test_a_stuck_saga_that_has_turned_back_cannot_be_undone_once_more(viewer: FlaskClient, operated: Service) -> None:
    saga = operated.answers[f"/saga/{SAGA}"]
    saga |= {"status": "stuck", "turned_back": True}
    said(viewer, f"{PAGE}/compensate", 409)
    assert "What will be done" in said(viewer, f"{PAGE}/retry")


def test_a_reason_that_is_too_long_is_not_cut_but_refused(viewer: FlaskClient, operated: Service) -> None:
    operated.answers[f"/saga/{SAGA}/compensate"] = (422, {"detail": "does not fit: reason"})
    reason = "a" * 201
    answer = undo(viewer, reason=reason)
    assert (answer.status_code, "does not fit: reason" in answer.text) == (422, True)
    assert f'value="{reason}"' in answer.text
    assert operated.requests[-2][3]["reason"] == reason


def operations_of(services: Services, *items: dict[str, Any]) -> None:
    """Set the operations: the first one of an orchestrated saga, the others of choreographed ones."""
    services["orchestrator"].answers["/saga/operations?limit=50"] = {"items": items[:1], "next_cursor": None}
    services["choreography"].answers["/saga/choreography/operations?limit=50"] = {
        "items": items[1:],
        "next_cursor": None,
    }


def operation(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "id": f"01a21726-0000-7000-8000-00000000000{number}",
        "at": "2026-11-26T09:18:59+00:00",
        "kind": "compensation_requested",
        "by": f"<b>ana {number}</b>",
        "reason": f"why {number}",
        "saga_id": SAGA,
        "detail": None,
        **changed,
    }


def test_what_operators_did_in_either_style_is_one_list_the_latest_first(
    viewer: FlaskClient, services: Services
) -> None:
    redriven = operation(3, kind="redriven", saga_id=None, detail="4 dead letters")
    operations_of(services, operation(2), redriven, operation(1))
    said_of_it = said(viewer, "/operations")
    assert [said_of_it.index(f"<b>ana {n}</b>") for n in (3, 2, 1)] == sorted(
        said_of_it.index(f"<b>ana {n}</b>") for n in (3, 2, 1)
    )
    assert "redrive dead letters 4 dead letters why 3" in said_of_it
    assert "undo" in said_of_it


def test_what_is_for_operators_is_shown_once_the_token_is_given(viewer: FlaskClient, services: Services) -> None:
    operations_of(services)
    path = "/saga/operations?limit=50"
    known = services["orchestrator"].answers[path]
    services["orchestrator"].answers[path] = (401, {"detail": "this is for operators"})
    refused = viewer.get("/operations")
    assert refused.status_code == 401
    assert 'name="next" value="/operations"' in refused.text
    assert "That is not" not in refused.text
    done = viewer.post("/operator", data={"token": TOKEN, "next": "/operations"})
    assert (done.status_code, done.headers["Location"]) == (303, "/operations")
    assert {"HttpOnly", "SameSite=Strict"} <= set(done.headers["Set-Cookie"].split("; "))
    assert "That is not the operator's token" in said(viewer, "/operations", 401)
    services["orchestrator"].answers[path] = known
    assert "Nobody has requested anything yet" in said(viewer, "/operations")
    assert services["orchestrator"].requests[-1][2]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "then",
    ["https://evil.example/x", "//evil.example/x", "///evil.example/x", "\\\\evil.example", "http://[", "//[x]:y/z"],
)
def test_nobody_is_led_elsewhere_with_his_token(viewer: FlaskClient, then: str) -> None:
    answer = viewer.post("/operator", data={"token": TOKEN, "next": then})
    assert re.fullmatch(r"/([^/\\].*)?", answer.headers["Location"])


def test_operations_of_one_style_are_shown_when_the_other_s_service_is_away(
    viewer: FlaskClient, services: Services
) -> None:
    operations_of(services, operation(1))
    services["choreography"].answers["/saga/choreography/operations?limit=50"] = (503, {"detail": "not now"})
    page = said(viewer, "/operations")
    assert "The service of choreographed sagas cannot be reached" in page
    assert "why 1" in page


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_has_nothing_done(
    viewer: FlaskClient, operated: Service, headers: dict[str, str]
) -> None:
    sign_in(viewer, TOKEN)
    form = {"reason": "x", "by": "y"}
    answer = viewer.post(f"{PAGE}/compensate", data=form, headers={"Host": "localhost:8080", **headers})
    assert answer.status_code == 403
    assert operated.requests == []


def test_it_does_not_go_by_names_that_are_not_its_own(viewer: FlaskClient) -> None:
    assert viewer.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_nothing_but_two_things_can_be_requested(viewer: FlaskClient, operated: Service) -> None:
    assert viewer.post(f"{PAGE}/checkout", data={}).status_code == 404
    refused = viewer.post("/search", data={})
    assert (refused.status_code, set(refused.headers["Allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
    assert operated.requests == []


def test_what_makes_no_sense_is_not_offered(viewer: FlaskClient, operated: Service) -> None:
    path = re.escape(PAGE)
    completed = viewer.get(PAGE).text
    assert re.findall(rf'href="{path}/(\w+)"', completed) == ["compensate"]
    operated.answers[f"/saga/{SAGA}"] = ORCHESTRATED["saga"]
    assert re.findall(rf'href="{path}/(\w+)"', viewer.get(PAGE).text) == []
