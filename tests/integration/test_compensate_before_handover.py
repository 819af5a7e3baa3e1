"""A saga that carrito has accepted, and not handed over yet, is compensated like one that its service has."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from shared.ids import new_id
from tests.integration.answering_service import Service, answering_service
from tests.integration.api_client import body_of, problem_of
from tests.integration.saga_stages import STAGES, Stage, stage_of

NO_CHECKOUT = {"type": "/problems/checkout-not-found", "title": "No such checkout", "status": 404, "detail": "none"}


@pytest.fixture
def carrito() -> Iterator[Service]:
    with answering_service() as service:
        yield service


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient], carrito: Service) -> Stage:
    return stage_of(request.param, service_client(request.param, carrito_service_url=carrito.url))


def checkout(saga_id: UUID, style: str | None) -> dict[str, Any]:
    """Return what carrito says of a checkout."""
    return {
        "saga_id": str(saga_id),
        "cart_id": str(new_id()),
        "user_id": "ana",
        "saga_pattern": style,
        "payment_method": style and "paypal",
        "billing_address": {"street": "1 High Street"},
        "payment_id": str(new_id()),
        "order_id": str(new_id()),
        "items": [{"product_id": 7, "name": "mate", "quantity": 2, "unit_price": 10.25}],
        "total": 20.5,
        "currency": "EUR",
    }


def compensate(stage: Stage, saga_id: UUID) -> Any:
    return stage.post(f"{stage.base}/{saga_id}/compensate", {"reason": "changed her mind", "by": "luz"})


def test_it_is_accepted_before_it_is_compensated_and_its_handover_changes_nothing(
    stage: Stage, carrito: Service
) -> None:
    saga_id = new_id()
    begun = checkout(saga_id, stage.style)
    carrito.answer = lambda _, __: (200, begun)
    answer = compensate(stage, saga_id)
    assert answer.status_code == 202, answer.text
    assert carrito.requested == [f"/checkouts/{saga_id}"]
    saga = body_of(answer)
    assert (saga["turned_back"], saga["status"] in {"compensating", "compensated"}) == (True, True)
    assert (saga["cart_id"], saga["user_id"], saga["payment_method"]) == (begun["cart_id"], "ana", "paypal")
    handed_over = {name: begun[name] for name in ("saga_id", "cart_id", "user_id", "payment_method", "billing_address")}
    assert stage.post(f"{stage.base}/checkout", handed_over).status_code == 202
    assert stage.read(f"/{saga_id}")["turned_back"]
    said = [entry["kind"] for entry in stage.read(f"/{saga_id}/timeline")["items"]]
    assert said.count("compensation_requested") == 1


@pytest.mark.parametrize("answered", ["nothing", "an order alone", "the other style"])
def test_what_carrito_did_not_accept_in_this_style_is_no_saga(stage: Stage, carrito: Service, answered: str) -> None:
    saga_id = new_id()
    other = "choreographed" if stage.style == "orchestrated" else "orchestrated"
    of_style = {"nothing": (404, NO_CHECKOUT), "an order alone": (200, checkout(saga_id, None))}
    carrito.answer = lambda _, __: of_style.get(answered, (200, checkout(saga_id, other)))
    answer = compensate(stage, saga_id)
    assert (answer.status_code, problem_of(answer)["type"]) == (404, "/problems/saga-not-found")
    assert stage.get(f"{stage.base}/{saga_id}").status_code == 404


def test_without_an_answer_from_carrito_nobody_knows_whether_there_is_such_a_saga(
    stage: Stage, carrito: Service
) -> None:
    carrito.answer = lambda _, __: (503, {"detail": "not now"})
    assert problem_of(compensate(stage, new_id()))["status"] == 503


def test_carrito_is_not_asked_about_a_saga_that_its_service_has(stage: Stage, carrito: Service) -> None:
    assert compensate(stage, stage.begun()).status_code == 202
    assert carrito.requested == []
