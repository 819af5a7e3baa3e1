"""The timeline's entries for requests and events have the same shape in both styles."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.integration.saga_stages import STAGES, Choreographed, Orchestrated, Stage, stage_of

SERVICES = {
    "reserve_inventory": "inventario",
    "process_payment": "pagos",
    "create_order": "carrito",
    "commit_inventory": "inventario",
}


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Stage:
    return stage_of(request.param, service_client(request.param, database_url=fresh_database_url))


def timeline(stage: Stage, saga_id: object) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stage.read(f"/{saga_id}/timeline")["items"]
    return items


def test_each_entry_of_a_step_names_the_service_and_a_compensation_the_action_that_it_undoes(stage: Stage) -> None:
    entries = timeline(stage, stage.declined())
    assert len({entry["id"] for entry in entries}) == len(entries)
    of_steps = [entry for entry in entries if entry["step"] in SERVICES]
    assert [entry["service"] for entry in of_steps] == [SERVICES[entry["step"]] for entry in of_steps]
    by_id = {entry["id"]: entry for entry in entries}
    undone = [(entry["step"], by_id[entry["undoes"]]) for entry in entries if entry["undoes"]]
    assert [(step, action["step"], action["direction"], action["outcome"]) for step, action in undone] == [
        ("reserve_inventory", "reserve_inventory", "action", "succeeded")
    ], "the payment was declined, so that nothing of it is undone"


def test_an_undone_saga_undoes_every_step_the_last_one_first_and_says_who_wanted_it(stage: Stage) -> None:
    saga_id = stage.completed()
    reply = stage.post(f"{stage.base}/{saga_id}/compensate", {"by": "luz", "reason": "changed her mind"})
    assert reply.status_code == 202
    stage.undo(saga_id)
    entries = timeline(stage, saga_id)
    undone = [entry["step"] for entry in entries if entry["undoes"]]
    assert undone == [*SERVICES][::-1]
    (note,) = [entry for entry in entries if entry["kind"] == "compensation_requested"]
    assert (note["by"], note["reason"], note["detail"], note["service"]) == ("luz", "changed her mind", None, None)


def test_both_styles_answer_in_the_same_shape(stage: Stage) -> None:
    (entry, *_) = timeline(stage, stage.declined())
    assert {"id", "service", "together", "status_code", "fault", "undoes", "request", "response"} <= entry.keys()


def test_each_entry_of_a_step_says_what_was_requested_and_each_refusal_why(stage: Stage) -> None:
    entries = timeline(stage, stage.declined())
    of_steps = [entry for entry in entries if entry["step"] in SERVICES]
    assert all(entry["request"]["body"]["saga_id"] for entry in of_steps)
    (refused,) = [entry for entry in of_steps if entry["outcome"] == "refused"]
    assert refused["response"]["error"] == refused["detail"]
    assert refused["response"]["body"]
    assert {entry["response"]["error"] for entry in of_steps if entry is not refused} == {None}
    assert {entry["request"] for entry in entries if entry["kind"] not in {"attempt", "event"}} <= {None}


def test_a_request_tells_its_status_and_how_many_sagas_were_in_it(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    stage = stage_of("saga_orchestrator", service_client("saga_orchestrator", database_url=fresh_database_url))
    entries = timeline(stage, stage.declined())
    told = [(entry["step"], entry["status_code"]) for entry in entries if entry["kind"] == "attempt"]
    assert told[:2] == [("reserve_inventory", 200), ("process_payment", 402)]
    assert {(entry["together"], entry["fault"]) for entry in entries if entry["kind"] == "attempt"} == {(2, "slow")}
    assert {entry["together"] for entry in entries if entry["kind"] != "attempt"} == {None}


def test_a_saga_in_a_list_says_what_it_is_to_suffer(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    stage = Orchestrated(service_client("saga_orchestrator", database_url=fresh_database_url))
    stage.begun()
    assert [saga["fault"] for saga in stage.sagas()["items"]] == [None]
    with stage.transaction() as connection:
        connection.execute(text("UPDATE saga_orchestrator.sagas SET fault = 'process_payment=slow'"))
    assert [saga["fault"] for saga in stage.sagas()["items"]] == ["process_payment=slow"]


def test_a_request_is_told_as_it_was_made_but_for_the_address_and_a_refusal_as_it_was_answered(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    stage = Orchestrated(service_client("saga_orchestrator", database_url=fresh_database_url))
    saga_id = stage.declined()
    saga = stage.read(f"/{saga_id}")
    told = {(entry["step"], entry["direction"]): entry for entry in timeline(stage, saga_id)}
    charge = told["process_payment", "action"]
    of_saga = {"saga_id": str(saga_id), "cart_id": saga["cart_id"]}
    payment = {
        "payment_id": saga["payment_id"],
        "user_id": "ana",
        "amount": Decimal("19.98"),
        "currency": None,
        "payment_method": "paypal",
    }
    assert charge["request"] == {
        "method": "POST",
        "path": "/api/v1/payments/saga",
        "event": None,
        "body": {**of_saga, **payment},
    }
    assert charge["response"] == {"status": 402, "event": None, "body": {"detail": "no"}, "error": "no"}
    refund = told["process_payment", "compensation"]
    assert refund["request"]["path"] == f"/api/v1/payments/saga/{saga['payment_id']}/refund"
    assert refund["response"] == {"status": 200, "event": None, "body": None, "error": None}
    other = stage.completed()
    (order,) = [entry for entry in timeline(stage, other) if entry["step"] == "create_order"]
    assert order["request"]["body"]["billing_address"] == "(not shown)"


def test_an_event_is_told_with_the_one_that_it_follows_from(
    service_client: Callable[..., FlaskClient], fresh_database_url: str
) -> None:
    stage = stage_of("saga_choreography", service_client("saga_choreography", database_url=fresh_database_url))
    saga_id = stage.declined()
    told = {entry["event"]: entry for entry in timeline(stage, saga_id)}
    assert told["checkout.initiated"]["request"] is None
    request, response = told["payment.failed"]["request"], told["payment.failed"]["response"]
    (cause,) = [entry for entry in told.values() if entry["id"] == told["payment.failed"]["cause"]]
    assert (told["inventory.reserved"]["handled_by"], told["payment.requested"]["handled_by"]) == ("pagos", None)
    assert (request["event"], request["method"], request["path"]) == (cause["event"], None, None)
    assert request["body"] == cause["response"]["body"]
    assert told["inventory.reserve.requested"]["request"]["body"]["payment_method"]
    assert (response["event"], response["status"], response["error"]) == (
        "payment.failed",
        None,
        told["payment.failed"]["detail"],
    )


def test_a_service_that_runs_reads_its_tables_as_before_when_a_migration_adds_columns(
    stage: Orchestrated | Choreographed,
) -> None:
    saga_id = stage.completed()
    reads = (f"/{saga_id}", f"/{saga_id}/timeline", "/changes", "/stats")
    before = [stage.read(path).keys() for path in reads]
    with stage.transaction() as connection:
        for table in connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        ).all():
            connection.execute(text(f'ALTER TABLE "{table}" ADD COLUMN added_later text'))
    assert [stage.read(path).keys() for path in reads] == before
    stage.begun()
