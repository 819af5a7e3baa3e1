"""Each step of a participant may be requested in a batch with others, and then answers as its own endpoint does."""

import importlib
import json
import re

import pytest

from shared.ids import new_id
from shared.saga.commands import Commands
from tests.contract.documents import app_of, document_of

STEPS = {
    "carrito": ["/orders", "/orders/{order_id}/confirm", "/orders/{order_id}/cancel", "/carts/{cart_id}/release"],
    "inventario": ["/api/products/reserve", "/api/products/unreserve", "/api/products/commit"],
    "pagos": ["/api/v1/payments/saga", "/api/v1/payments/saga/{payment_id}/refund"],
}


def templates_of(service: str) -> set[str]:
    commands: Commands = importlib.import_module(f"{service}.app").commands
    return set(commands.templates)


@pytest.mark.parametrize("service", STEPS)
def test_each_step_and_its_compensation_may_be_requested_in_a_batch(service: str) -> None:
    assert templates_of(service) >= set(STEPS[service])


@pytest.mark.parametrize("service", STEPS)
def test_each_is_an_endpoint_of_its_own_and_the_document_names_it(service: str) -> None:
    paths = document_of(service)["paths"]
    for template in STEPS[service]:
        assert "post" in paths[template]
        assert template in paths["/saga-commands"]["post"]["description"]


@pytest.mark.parametrize("service", STEPS)
def test_the_example_of_a_batch_has_a_command_of_each_endpoint_that_fits_it(service: str) -> None:
    operation = document_of(service)["paths"]["/saga-commands"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    commands: Commands = importlib.import_module(f"{service}.app").commands
    for endpoint, command in zip(commands.endpoints, example["commands"], strict=True):
        match = endpoint.pattern.fullmatch(command["path"])
        assert match is not None
        endpoint.path.model_validate(match.groupdict())
        endpoint.body.model_validate(command["body"])


@pytest.mark.parametrize(("service", "template"), [(name, step) for name, steps in STEPS.items() for step in steps])
@pytest.mark.parametrize("known", [True, False], ids=["body", "path"])
def test_what_does_not_fit_is_refused_in_the_same_words(service: str, template: str, known: bool) -> None:
    """A body that does not fit, or an invalid id in the path."""
    path = re.sub(r"\{\w+\}", str(new_id()) if known else "no-id", template)
    body = {"saga_id": 7, "nonsense": []}
    client = app_of(service).test_client()
    alone = client.post(path, json=body)
    together = client.post("/saga-commands", json={"commands": [{"path": path, "body": body}] * 2})
    assert alone.status_code == 422
    assert json.loads(together.data) == {"outcomes": [{"status": 422, "body": json.loads(alone.data)}] * 2}
