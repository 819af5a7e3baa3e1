"""Faults switched on over HTTP: their effect at a step's own endpoint, and on each of many commands."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shared.ids import new_id
from shared.json_codec import dumps
from shared.testing import concurrently
from tests.integration.api_client import body_of, outcome, problem_of
from tests.integration.pagos_client import PAYMENTS, Pagos, Saga, new_user

CHARGE = {"step": "process_payment"}


class BreakablePagos(Pagos):
    """pagos, with fault switches."""

    def put(self, name: str, **body: Any) -> TestResponse:
        response = self.client.put(f"/faults/{name}", data=dumps(CHARGE | body), content_type="application/json")
        return self._declared(response)

    def lift(self) -> None:
        assert self.delete("/faults").status_code == 200

    def fired(self, saga: Saga) -> list[tuple[str, int]]:
        told = body_of(self.get(f"/faults?saga_id={saga.saga_id}"))["fired"]
        return [(each["name"], each["fired"]) for each in told]


@pytest.fixture
def pagos(service_client: Callable[..., FlaskClient]) -> Iterator[BreakablePagos]:
    pagos = BreakablePagos(service_client("pagos", faults=True))
    pagos.lift()
    yield pagos
    pagos.lift()


@pytest.fixture
def sound(service_client: Callable[..., FlaskClient]) -> Pagos:
    """The same service on the same database, without `FAULTS=true`."""
    return Pagos(service_client("pagos"))


def charge_of(saga: Saga) -> tuple[str, dict[str, Any]]:
    return PAYMENTS, saga.charge


def test_without_the_setting_there_is_nothing_to_switch_and_nothing_happens(
    pagos: BreakablePagos, sound: Pagos
) -> None:
    assert pagos.put("unavailable").status_code == 200
    assert [sound.client.open("/faults/slow", method=method).status_code for method in ("PUT", "DELETE")] == [404, 404]
    assert sound.client.get("/faults").status_code == 404
    assert "/faults" not in (sound.client.get("/openapi/openapi.json").json or {})["paths"]
    with sound.statements() as sent:
        assert sound.charge(Saga()).status_code == 201
    assert not [statement for statement in sent if "fault" in statement]


def test_what_is_switched_on_is_shown_until_it_is_switched_off(pagos: BreakablePagos) -> None:
    pagos.put("slow", times=2, milliseconds=5, match={"user_id": "ana"})
    assert [each["name"] for each in body_of(pagos.put("fail_undo"))["items"]] == ["fail_undo", "slow"]
    pagos.put("slow", times=3)
    shown = body_of(pagos.get("/faults"))
    assert shown["steps"] == ["process_payment"]
    assert shown["items"][1] == {
        **dict.fromkeys(("milliseconds", "point")),
        **CHARGE,
        "name": "slow",
        "times": 3,
        "match": {},
    }
    assert [each["name"] for each in body_of(pagos.delete("/faults/slow"))["items"]] == ["fail_undo"]
    assert pagos.delete("/faults/slow").status_code == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("explode", {}),
        ("slow", {"step": "create_order"}),
        ("slow", {"milliseconds": 0}),
        ("slow", {"times": 0}),
        ("refuse", {"times": 2}),
        ("delay_message", {"step": "create_order"}),
        ("pause_consumer", {}),
        ("slow", {"step": ""}),
        ("unavailable", {"milliseconds": 5}),
        ("unavailable", {"match": {"card": "1"}}),
    ],
)
def test_what_makes_no_sense_is_refused(pagos: BreakablePagos, name: str, body: dict[str, Any]) -> None:
    problem_of(pagos.put(name, **body))
    assert body_of(pagos.get("/faults"))["items"] == []


def test_an_unavailable_step_says_so_as_often_as_it_is_told_to_for_each_saga(pagos: BreakablePagos) -> None:
    pagos.put("unavailable", times=2)
    for saga in (Saga(), Saga()):
        answers = [pagos.charge(saga) for _ in range(3)]
        assert [each.status_code for each in answers] == [503, 503, 201]
        assert problem_of(answers[0])["injected"] == "unavailable"
        assert "injected" not in body_of(answers[2])
        assert pagos.fired(saga) == [("unavailable", 2)]


def test_the_next_answer_for_a_step_names_what_no_answer_told_of(pagos: BreakablePagos) -> None:
    pagos.put("lose_answer", times=2)
    saga, other = Saga(), Saga()
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            pagos.charge(saga)
    assert body_of(pagos.charge(saga))["injected_before"] == "process_payment=lose_answer*2"
    assert "injected_before" not in body_of(pagos.deposit(new_user(), 1))
    pagos.lift()
    assert body_of(pagos.charge(saga))["injected_before"] == "process_payment=lose_answer*2", "it is not forgotten"
    assert "injected_before" not in body_of(pagos.charge(other))
    answers = pagos.many(charge_of(saga), charge_of(other))
    assert [answer["body"].get("injected_before") for answer in answers] == ["process_payment=lose_answer*2", None]


def test_of_many_at_once_no_more_suffer_than_are_to(pagos: BreakablePagos) -> None:
    pagos.put("unavailable", times=3)
    saga = Saga()
    answers = concurrently(*[lambda: pagos.charge(saga)] * 8)
    assert sorted(each.status_code for each in answers) == [201] * 5 + [503] * 3


def test_a_refused_step_is_refused_for_ever_and_takes_nothing(pagos: BreakablePagos) -> None:
    user, other = new_user(), new_user()
    pagos.deposit(user, 100)
    pagos.deposit(other, 100)
    saga = Saga(20, "wallet", user)
    pagos.put("refuse", match={"user_id": user})
    first = pagos.charge(saga)
    assert (first.status_code, problem_of(first)["injected"]) == (409, "refuse")
    pagos.lift()
    assert outcome(pagos.charge(saga)) == outcome(first)
    assert pagos.balance(user) == 100
    assert body_of(pagos.refund(saga))["status"] == "void"
    assert pagos.charge(Saga(20, "wallet", other)).status_code == 201


def test_what_was_done_is_not_refused_afterwards(pagos: BreakablePagos) -> None:
    saga = Saga()
    first = pagos.charge(saga)
    pagos.put("refuse")
    assert outcome(pagos.charge(saga)) == outcome(first)
    assert pagos.fired(saga) == []


def test_a_slow_step_is_done_and_says_that_it_was_made_slow(pagos: BreakablePagos) -> None:
    pagos.put("slow", milliseconds=1)
    answer = pagos.charge(Saga())
    assert (answer.status_code, body_of(answer)["injected"]) == (201, "slow")


def test_of_a_lost_answer_nothing_leaves_and_the_step_is_done_once(pagos: BreakablePagos) -> None:
    user = new_user()
    pagos.deposit(user, 100)
    saga = Saga(20, "wallet", user)
    pagos.put("lose_answer", times=1)
    with pytest.raises(ConnectionResetError):
        pagos.charge(saga)
    assert pagos.balance(user) == 80
    assert pagos.charge(saga).status_code == 201
    assert pagos.balance(user) == 80


def test_a_compensation_that_fails_is_done_when_it_fails_no_more(pagos: BreakablePagos) -> None:
    saga = Saga()
    assert pagos.charge(saga).status_code == 201
    pagos.put("fail_undo", times=2)
    answers = [pagos.refund(saga) for _ in range(3)]
    assert [each.status_code for each in answers] == [500, 500, 200]
    assert problem_of(answers[0])["injected"] == "fail_undo"


def test_each_of_many_commands_suffers_its_own_and_no_neighbour_s(pagos: BreakablePagos) -> None:
    away, lost, refused, sound = (Saga(user_id=new_user()) for _ in range(4))
    for name, saga in (("unavailable", away), ("lose_answer", lost), ("refuse", refused)):
        pagos.put(name, match={"user_id": saga.charge["user_id"]}, **({} if name == "refuse" else {"times": 1}))
    commands = [charge_of(saga) for saga in (away, lost, refused, sound)]
    first, second = pagos.many(*commands), pagos.many(*commands)
    assert [each["status"] for each in first] == [503, 504, 409, 201]
    assert [each["body"].get("injected") for each in first] == ["unavailable", "lose_answer", "refuse", None]
    assert [each["status"] for each in second] == [201, 201, 409, 201]
    assert len(pagos.payments_of(lost)) == 1


def test_what_names_no_saga_and_what_does_not_fit_is_left_alone(pagos: BreakablePagos) -> None:
    pagos.put("unavailable")
    assert pagos.post(PAYMENTS, {"saga_id": 7}).status_code == 422
    assert pagos.post_raw(PAYMENTS, "{").status_code == 400
    assert pagos.refund_payment(new_id()).status_code == 404


def test_only_operators_switch_faults(service_client: Callable[..., FlaskClient]) -> None:
    client = service_client("pagos", faults=True, admin_token="secret")
    for method, path in (
        ("GET", "/faults"),
        ("PUT", "/faults/slow"),
        ("DELETE", "/faults/slow"),
        ("DELETE", "/faults"),
    ):
        assert client.open(path, method=method, json=CHARGE if method == "PUT" else None).status_code == 401
        answer = client.open(
            path, method=method, json=CHARGE if method == "PUT" else None, headers={"Authorization": "Bearer secret"}
        )
        assert answer.status_code == 200


def test_a_request_brings_the_faults_of_its_saga_and_without_the_setting_they_are_ignored(
    pagos: BreakablePagos, sound: Pagos
) -> None:
    saga, other = Saga(), Saga()
    brought = {"X-Fault": "process_payment=unavailable*2"}

    def charged(client: FlaskClient, whose: Saga) -> int:
        return client.post(
            PAYMENTS, data=dumps(whose.charge), content_type="application/json", headers=brought
        ).status_code

    assert [charged(pagos.client, saga) for _ in range(3)] == [503, 503, 201]
    assert charged(sound.client, other) == 201


def test_only_operators_name_faults_on_a_checkout(service_client: Callable[..., FlaskClient]) -> None:
    client = service_client("carrito", faults=True, admin_token="secret", service_token="between us")
    body = {"cart_id": str(new_id()), "user_id": "ana", "payment_method": "paypal", "billing_address": "here"}

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post("/checkout/saga", json=body, headers=named).status_code

    fault = "process_payment=refuse"
    assert status() == 404  # there is no such cart
    assert status(X_Fault=fault) == 401
    assert status(X_Fault=fault, Authorization="Bearer nobody's") == 401
    assert status(X_Fault=fault, Authorization="Bearer secret") == 404
    assert status(X_Fault=fault, Authorization="Bearer between us") == 401
    assert status(X_Fault="process_payment=explode", Authorization="Bearer secret") == 422


@pytest.mark.parametrize("body", ["[]", "null", "1", '"text"', '[{"saga_id": "x"}]'])
@pytest.mark.parametrize("path", [PAYMENTS, f"{PAYMENTS}/{UUID(int=1)}/refund"])
def test_a_body_that_is_no_object_is_refused_as_it_is_without_faults(
    pagos: BreakablePagos, sound: Pagos, path: str, body: str
) -> None:
    pagos.put("unavailable")
    answers = [each.client.post(path, data=body, content_type="application/json") for each in (sound, pagos)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].data == answers[1].data
    brought = {"X-Fault": "process_payment=unavailable"}
    named = pagos.client.post(path, data=body, content_type="application/json", headers=brought)
    assert (named.status_code, named.data) == (422, answers[0].data)
