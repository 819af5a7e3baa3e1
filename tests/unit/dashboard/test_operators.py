"""How operators log in: which tokens are accepted, and that none is kept where others could read it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.config import Settings
from dashboard.operator_form import COOKIE
from dashboard.operator_sessions import OperatorSessions
from tests.unit.dashboard.answering import Service, serving, sign_in
from tests.unit.dashboard.text import Text

TOKEN = "operators' own"
LATEST = {"orchestrator": "/saga/operations?limit=1", "choreography": "/saga/choreography/operations?limit=1"}
NOBODY = "01a21726-0000-7000-8000-000000000000"

Services = dict[str, Service]


@pytest.fixture
def services() -> Iterator[Services]:
    """Both saga services, which accept any token."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(serving({path: {"items": []}})) for name, path in LATEST.items()}


@pytest.fixture
def viewer(services: Services) -> FlaskClient:
    settings = Settings(
        _env_file=None,
        orchestrator_url=services["orchestrator"].url,
        choreography_url=services["choreography"].url,
    )
    return create_app(settings).test_client()


def kept(viewer: FlaskClient) -> str:
    """Return the cookies that the browser keeps; empty without any."""
    cookie = viewer.get_cookie(COOKIE)
    return "" if cookie is None else cookie.value


@pytest.mark.parametrize("token", ["€", "schlüssel", "two\nlines", "tab\tbed", "\x7f", "nul\x00"])
@pytest.mark.parametrize("path", ["/operator", f"/sagas/orchestrated/{NOBODY}/compensate", "/dead-letters/redrive"])
def test_what_no_header_can_hold_is_no_operator_s_token(
    viewer: FlaskClient, services: Services, path: str, token: str
) -> None:
    answer = viewer.post(path, data={"token": token, "reason": "x", "by": "y"})
    assert (answer.status_code, 'name="token"' in answer.text) == (401, True)
    assert kept(viewer) == ""
    assert [service.requests for service in services.values()] == [[], []]


def test_a_token_is_kept_once_a_service_has_accepted_it(viewer: FlaskClient, services: Services) -> None:
    services["orchestrator"].answers[LATEST["orchestrator"]] = (401, {})
    refused = viewer.post("/operator", data={"token": TOKEN, "next": "/faults"})
    assert (refused.status_code, kept(viewer)) == (401, "")
    assert "That is not the operator's token" in Text(refused.text).text
    assert 'name="next" value="/faults"' in refused.text
    services["orchestrator"].answers[LATEST["orchestrator"]] = {"items": []}
    assert viewer.post("/operator", data={"token": TOKEN, "next": "/faults"}).headers["Location"] == "/faults"
    assert kept(viewer) != ""
    assert services["orchestrator"].requests[-1][2]["Authorization"] == f"Bearer {TOKEN}"


def test_while_one_saga_service_is_away_the_other_says_who_is_an_operator(
    viewer: FlaskClient, services: Services
) -> None:
    services["orchestrator"].answers[LATEST["orchestrator"]] = (503, {"detail": "not now"})
    assert viewer.post("/operator", data={"token": TOKEN}).status_code == 303
    services["choreography"].answers[LATEST["choreography"]] = (503, {"detail": "not now"})
    other = viewer.application.test_client()
    assert (other.post("/operator", data={"token": TOKEN}).status_code, kept(other)) == (503, "")


def test_the_browser_keeps_no_token_but_an_id_that_another_dashboard_does_not_know(
    viewer: FlaskClient, services: Services
) -> None:
    viewer.post("/operator", data={"token": TOKEN})
    assert TOKEN not in kept(viewer)
    viewer.get("/operations")
    assert services["orchestrator"].requests[-1][2]["Authorization"] == f"Bearer {TOKEN}"
    again = create_app(Settings(_env_file=None, orchestrator_url=services["orchestrator"].url)).test_client()
    again.set_cookie(COOKIE, kept(viewer))
    again.get("/operations")
    assert "Authorization" not in services["orchestrator"].requests[-1][2], "it is requested again"


def test_each_operator_s_requests_have_his_own_token(viewer: FlaskClient, services: Services) -> None:
    other = viewer.application.test_client()
    sign_in(viewer, "one")
    sign_in(other, "two")
    for client, token in ((viewer, "one"), (other, "two"), (viewer, "one")):
        client.get("/operations")
        assert services["orchestrator"].requests[-1][2]["Authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("then", ["/operator", "/operator/", "/operator?x=1", "/operator/end", "//operator"])
def test_nobody_is_led_to_where_there_is_no_page(viewer: FlaskClient, services: Services, then: str) -> None:
    assert viewer.post("/operator", data={"token": TOKEN, "next": then}).headers["Location"] == "/"


def test_who_logs_out_is_an_operator_no_more_and_is_offered_it_only_until_then(
    viewer: FlaskClient, services: Services
) -> None:
    offer = 'action="/operator/end"'
    for service, path in zip(services.values(), LATEST.values(), strict=True):
        service.answers[path.replace("limit=1", "limit=50")] = {"items": [], "next_cursor": None}
    assert offer not in viewer.get("/operations").text
    viewer.post("/operator", data={"token": TOKEN})
    session = kept(viewer)
    assert offer in viewer.get("/operations").text
    answer = viewer.post("/operator/end")
    assert (answer.status_code, answer.headers["Location"], kept(viewer)) == (303, "/", "")
    viewer.set_cookie(COOKIE, session)
    viewer.get("/operations")
    assert "Authorization" not in services["orchestrator"].requests[-1][2], "the session is over here, too"


def test_another_site_s_page_logs_nobody_out(viewer: FlaskClient, services: Services) -> None:
    viewer.post("/operator", data={"token": TOKEN})
    assert viewer.post("/operator/end", headers={"Origin": "https://evil.example"}).status_code == 403
    assert kept(viewer) != ""


def test_sessions_are_bounded_and_the_one_that_was_not_used_for_longest_is_forgotten() -> None:
    sessions = OperatorSessions(most=2)
    first, second = sessions.begin("first"), sessions.begin("second")
    assert sessions.token_of(first) == "first"
    third = sessions.begin("third")
    assert [sessions.token_of(each) for each in (first, second, third, "nobody's")] == ["first", "", "third", ""]


def test_a_session_ends_when_it_was_not_used_for_too_long() -> None:
    sessions = OperatorSessions(idle_seconds=0)
    assert sessions.token_of(sessions.begin("old")) == ""
