"""Who may call each endpoint."""

import importlib

import pytest

from shared.http.access import Who, who_may_ask
from tests.contract.documents import app_of, document_of
from tests.system.servers import SERVICES

S, O, E = Who.SERVICES, Who.OPERATORS, Who.SERVICES_OR_OPERATORS  # noqa: E741  (as short as the table needs them)

# All endpoints that are not open to everybody once the tokens are set.
CLOSED = {
    "carrito": {
        "POST /carts/<cart_id>/checkout": S,
        "POST /carts/<cart_id>/release": S,
        "GET /checkouts/<saga_id>": S,
        "GET /checkouts/<saga_id>/standing": S,
        "POST /orders": S,
        "POST /orders/<order_id>/confirm": S,
        "POST /orders/<order_id>/cancel": S,
    },
    "inventario": {
        "POST /api/products": E,
        "POST /api/products/<product_id>/restock": E,
        "POST /api/products/reserve": S,
        "POST /api/products/unreserve": S,
        "POST /api/products/commit": S,
    },
    "pagos": {
        "POST /api/v1/payments": S,
        "POST /api/v1/payments/saga": S,
        "POST /api/v1/payments/saga/<payment_id>/refund": S,
        "POST /api/v1/wallets/<user_id>/deposits": E,
    },
    "saga_orchestrator": {
        "POST /saga/<saga_id>/compensate": O,
        "POST /saga/<saga_id>/retry": O,
        "GET /saga/operations": O,
    },
    "saga_choreography": {
        "POST /saga/choreography/<saga_id>/compensate": O,
        "POST /saga/choreography/<saga_id>/retry": O,
        "GET /saga/choreography/dead-letters": O,
        "POST /saga/choreography/dead-letters/redrive": O,
        "GET /saga/choreography/operations": O,
    },
}
PARTICIPANTS = ("carrito", "inventario", "pagos")
EVERY_SERVICE = {"GET /audit": E, "GET /audit/changes": E, "GET /audit/sagas": E, "POST /audit/facts": E}
EVERY_PARTICIPANT = {"POST /saga-commands": S}

# Endpoints that change something, and are for shoppers.
SHOPPING = {
    "carrito": {
        "POST /carts",
        "POST /carts/<cart_id>/items",
        "DELETE /carts/<cart_id>/items/<product_id>",
        "POST /checkout/saga",
    },
    "saga_orchestrator": {"POST /saga/checkout"},
    "saga_choreography": {"POST /saga/choreography/checkout"},
}

each_service = pytest.mark.parametrize("service", SERVICES)


def endpoints_of(service: str) -> dict[str, Who | None]:
    """Return each route of a service with its marked callers."""
    app = app_of(service)
    return {
        f"{method} {rule.rule}": who_may_ask(app, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


@each_service
def test_every_endpoint_says_who_may_ask_it(service: str) -> None:
    assert [name for name, who in endpoints_of(service).items() if who is None] == []


@each_service
def test_what_only_services_and_operators_may_ask_is_this(service: str) -> None:
    closed = {name: who for name, who in endpoints_of(service).items() if who is not Who.EVERYBODY}
    of_all = {**EVERY_SERVICE, **(EVERY_PARTICIPANT if service in PARTICIPANTS else {})}
    assert closed == {**CLOSED[service], **of_all}


@each_service
def test_what_everybody_may_ask_reads_or_is_a_shopper_s(service: str) -> None:
    public = {name for name, who in endpoints_of(service).items() if who is Who.EVERYBODY}
    assert {name for name in public if not name.startswith("GET ")} == SHOPPING.get(service, set())


@pytest.mark.parametrize("service", PARTICIPANTS)
def test_where_faults_can_be_switched_on_it_takes_an_operator(service: str) -> None:
    app = app_of(service, faults=True)
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/faults")]
    assert {rule.rule for rule in rules} == {"/faults", "/faults/<name>"}
    assert {who_may_ask(app, rule.endpoint) for rule in rules} == {O}


@pytest.mark.parametrize("service", PARTICIPANTS)
def test_every_step_of_a_saga_is_for_services_only(service: str) -> None:
    """No endpoint that is a step of sagas is open to everybody."""
    module = importlib.import_module(f"{service}.app")
    for template in module.commands.templates:
        rule = template.replace("{", "<").replace("}", ">")
        assert endpoints_of(service)[f"POST {rule}"] is Who.SERVICES, template


@each_service
def test_the_document_says_which_token_is_needed(service: str) -> None:
    document = document_of(service)
    for name, who in endpoints_of(service).items():
        method, _, path = name.partition(" ")
        operation = document["paths"].get(path.replace("<", "{").replace(">", "}"), {}).get(method.lower())
        if operation is not None:
            schemes = [scheme for alternative in operation.get("security", []) for scheme in alternative]
            assert tuple(schemes) == who.value, name  # type: ignore[union-attr]  # none is, see above
            assert ("401" in operation["responses"]) or not schemes
