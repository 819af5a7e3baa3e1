"""The page of fault switches, against services that answer as a test says."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.config import Settings
from dashboard.faults import EFFECTS, where
from shared.fault_switches.model import FaultName
from tests.unit.dashboard.answering import Service, serving, sign_in
from tests.unit.dashboard.text import Text

SAGA = "01a21726-0000-7000-8000-000000000001"
TOKEN = "operators' own"
FORM = {"name": "slow", "step": "create_order", "times": "2", "milliseconds": "50", "point": "", "user": "<b>ana"}
SWITCH: dict[str, Any] = {
    "name": "slow",
    "step": "create_order",
    "times": None,
    "milliseconds": 50,
    "point": None,
    "match": {"user_id": "<b>ana"},
}
FIRED = {"saga_id": SAGA, "step": "create_order", "name": "slow", "fired": 3, "fired_at": "2026-01-02T03:04:05+00:00"}

Services = dict[str, Service]


def faults(*items: dict[str, Any], fired: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"steps": ["create_order"], "messages": ["reserve_inventory"], "items": list(items), "fired": list(fired)}


@pytest.fixture
def services() -> Iterator[Services]:
    with ExitStack() as stack:
        names = ("carrito", "inventario", "pagos")
        yield {name: stack.enter_context(serving({"/faults": faults()})) for name in names}


@pytest.fixture
def viewer(services: Services) -> FlaskClient:
    urls: dict[str, Any] = {f"{name}_service_url": service.url for name, service in services.items()}
    return create_app(Settings(_env_file=None, **urls)).test_client()


def said(viewer: FlaskClient, status: int = 200) -> str:
    answer = viewer.get("/faults")
    assert answer.status_code == status, answer.text
    return Text(answer.text).text


def test_what_is_on_and_what_happened_to_which_saga_is_shown(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers["/faults"] = faults(SWITCH, fired=(FIRED,))
    page = viewer.get("/faults").text
    assert "&lt;b&gt;ana" in page
    assert f'href="/search?id={SAGA}"' in page
    assert "slow Create order, 50 ms, every time, only user <b>ana" in Text(page).text
    assert "Create order at carrito 3" in Text(page).text


def test_a_compensation_that_is_made_to_fail_goes_by_its_own_name() -> None:
    assert where({"name": "fail_undo", "step": "process_payment"}) == "Refund"
    assert where({"name": "refuse", "step": "process_payment"}) == "Take payment"
    assert where({"name": "deliver_twice", "step": None}) == "all messages"


def test_every_fault_that_there_is_can_be_switched_and_is_explained() -> None:
    assert set(EFFECTS) == set(FaultName)


def test_a_fault_is_switched_on_and_off_at_its_service(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers["/faults/slow"] = faults(SWITCH)
    answer = viewer.post("/faults/carrito", data=FORM)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/faults")
    viewer.post("/faults/carrito/off", data={"name": "slow"})
    (on, off) = [(method, path, body) for method, path, _, body in services["carrito"].requests]
    wanted = {"step": "create_order", "times": 2, "milliseconds": 50, "match": {"user_id": "<b>ana"}}
    assert (on, off) == (("PUT", "/faults/slow", wanted), ("DELETE", "/faults/slow", None))


def test_a_fault_can_be_for_one_cart_or_one_way_to_pay(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers["/faults/slow"] = faults(SWITCH)
    viewer.post("/faults/carrito", data={**FORM, "user": "", "cart": f" {SAGA} ", "method": "paypal"})
    [(*_, body)] = services["carrito"].requests
    assert body["match"] == {"cart_id": SAGA, "payment_method": "paypal"}


def test_a_fault_gets_no_argument_that_its_form_does_not_show(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers |= {"/faults/refuse": faults(), "/faults/kill": faults()}
    for name in ("refuse", "kill"):
        answer = viewer.post("/faults/carrito", data={**FORM, "name": name, "point": "after"})
        assert answer.status_code == 303
    refuse, kill = (body for *_, body in services["carrito"].requests)
    assert refuse.keys() & {"milliseconds", "point"} == set()
    assert (kill.get("milliseconds"), kill["point"]) == (None, "after")


def test_it_says_that_they_are_off_and_how_to_have_them(viewer: FlaskClient, services: Services) -> None:
    for service in services.values():
        service.answers.clear()
    page = said(viewer)
    assert "Faults are off" in page
    assert "FAULTS=true make down up" in page


def test_a_service_that_is_away_is_named_and_the_others_are_shown(viewer: FlaskClient, services: Services) -> None:
    services["pagos"].answers["/faults"] = (503, {"detail": "no"})
    page = said(viewer)
    assert "pagos cannot be reached" in page
    assert "carrito 0 faults on" in page


@pytest.mark.parametrize("changed", [{"times": "often"}, {"name": "slow"}])
def test_what_makes_no_sense_is_refused_with_its_reason(
    viewer: FlaskClient, services: Services, changed: dict[str, str]
) -> None:
    services["carrito"].answers["/faults/slow"] = (422, {"detail": "slow is for one of <i>others"})
    answer = viewer.post("/faults/carrito", data={**FORM, **changed})
    assert answer.status_code == 422
    assert "are whole numbers" in answer.text or "slow is for one of &lt;i&gt;others" in answer.text


def test_a_switch_that_nobody_answered_leaves_the_page_with_why(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers["/faults/slow"] = (503, {"detail": "not <i>now"})
    answer = viewer.post("/faults/carrito", data=FORM)
    assert answer.status_code == 503
    assert "carrito: not &lt;i&gt;now. It may have been switched all the same." in answer.text
    assert 'hx-get="/faults"' in answer.text


def test_nothing_but_faults_of_participants_can_be_switched(viewer: FlaskClient, services: Services) -> None:
    assert viewer.post("/faults/dashboard", data=FORM).status_code == 404
    assert viewer.post("/faults/pagos", data={**FORM, "name": "../orders"}).status_code == 404
    assert viewer.post("/faults/pagos/off", data={"name": "../orders"}).status_code == 404
    assert viewer.post("/faults/pagos", data=FORM, headers={"Origin": "https://evil.example"}).status_code == 403
    assert services["pagos"].requests == []


def test_the_operator_s_token_is_requested_and_used(viewer: FlaskClient, services: Services) -> None:
    services["carrito"].answers |= {"/faults": (401, {}), "/faults/slow": (401, {})}
    assert "This is for operators" in said(viewer, 401)
    refused = viewer.post("/faults/carrito", data=FORM)
    assert (refused.status_code, 'name="next" value="/faults"' in refused.text) == (401, True)
    services["carrito"].answers |= {"/faults/slow": faults(SWITCH)}
    sign_in(viewer, TOKEN)
    viewer.post("/faults/carrito", data=FORM)
    assert services["carrito"].requests[-1][2]["Authorization"] == f"Bearer {TOKEN}"
