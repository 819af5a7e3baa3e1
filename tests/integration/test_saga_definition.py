"""The definitions that both saga services show."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from saga_choreography.choreography import CHECKOUT as CHOREOGRAPHED
from saga_orchestrator.orchestrator import CHECKOUT as ORCHESTRATED
from tests.integration.saga_stages import STAGES, Stage, stage_of


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient]) -> Stage:
    return stage_of(request.param, service_client(request.param))


def test_either_style_has_the_same_steps_around_the_same_pivot(stage: Stage) -> None:
    definition = stage.read("/definition")
    assert (definition["saga_pattern"], definition["name"]) == (stage.style, "checkout")
    assert [(step["name"], step["service"]) for step in definition["steps"]][:4] == [
        ("reserve_inventory", "inventario"),
        ("process_payment", "pagos"),
        ("create_order", "carrito"),
        ("commit_inventory", "inventario"),
    ]
    assert [step["kind"] for step in definition["steps"]][:4] == ["compensatable"] * 3 + ["pivot"]


def test_an_orchestrated_step_names_its_requests(service_client: Callable[..., FlaskClient]) -> None:
    definition = stage_of("saga_orchestrator", service_client("saga_orchestrator")).read("/definition")
    steps = {step["name"]: step for step in definition["steps"]}
    assert set(steps) == {step.name for step in ORCHESTRATED.all_steps}
    payment = steps["process_payment"]
    assert payment["action"] == "POST /api/v1/payments/saga"
    assert payment["compensation"] == "POST /api/v1/payments/saga/{payment_id}/refund"
    assert [steps[name]["kind"] for name in ("confirm_order", "release_cart")] == ["retryable", "closing"]
    assert steps["confirm_order"]["compensation"] is None
    assert definition["handlers"] == []


def test_a_choreographed_step_names_its_events_and_who_reacts_to_them(
    service_client: Callable[..., FlaskClient],
) -> None:
    definition = stage_of("saga_choreography", service_client("saga_choreography")).read("/definition")
    assert definition["steps"][1]["events"] == [
        "payment.requested",
        "payment.processed",
        "payment.failed",
        "payment.refunded",
    ]
    handlers = {(each["event"], each["service"]): each for each in definition["handlers"]}
    assert len(handlers) == len(CHOREOGRAPHED.reactions)
    assert handlers["inventory.reserved", "pagos"]["then"] == ["payment.requested", "payment.processed"]
    assert handlers["inventory.reserved", "pagos"]["otherwise"] == ["payment.requested", "payment.failed"]
