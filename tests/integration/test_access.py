"""Endpoints that not everybody may call, in every service; and gunicorn, which starts no unprotected service."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from shared.config import ROOT
from shared.http.access import Who, who_may_ask
from shared.http.client import Peer, PeerUnavailable
from shared.ids import new_id
from shared.testing import wait_until
from stack import ports
from tests.integration.api_client import problem_of
from tests.system.running import RunningSystem
from tests.system.servers import SERVICES

ADMIN, SERVICE = "correct horse", "battery staple"
TOKENS = {"admin_token": ADMIN, "service_token": SERVICE}
ACCEPTED = {Who.SERVICES: {SERVICE}, Who.OPERATORS: {ADMIN}, Who.SERVICES_OR_OPERATORS: {SERVICE, ADMIN}}
Clients = Callable[..., FlaskClient]

each_service = pytest.mark.parametrize("service", SERVICES)


def closed_to_all(client: FlaskClient) -> Iterator[tuple[str, str, Who]]:
    """Yield method, path and callers of the endpoints that are not open to everybody."""
    app = client.application
    for rule in app.url_map.iter_rules():
        who = who_may_ask(app, rule.endpoint)
        if who is not None and who is not Who.EVERYBODY:
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method, re.sub(r"<([^<>]*:)?\w+>", str(new_id()), rule.rule), who


def ask(client: FlaskClient, method: str, path: str, given: str | None) -> int:
    headers = {} if given is None else {"Authorization": given}
    response = client.open(path, method=method, json={}, headers=headers)
    if response.status_code >= 400:
        problem_of(response)
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    return response.status_code


@each_service
def test_an_endpoint_is_for_those_who_have_its_token(service_client: Clients, service: str) -> None:
    client = service_client(service, **TOKENS)
    wrong = (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer None",
        "Bearer ü",
        *(
            each
            for token in (ADMIN, SERVICE)
            for each in (token, f"Basic {token}", f"Bearer {token}x", f"bearer{token}")
        ),
    )
    for method, path, who in closed_to_all(client):
        for given in wrong:
            assert ask(client, method, path, given) == 401, (method, path, given)
        for token in (ADMIN, SERVICE):
            for scheme in ("Bearer", "bearer", "BEARER"):
                refused = ask(client, method, path, f"{scheme} {token}") == 401
                assert refused == (token not in ACCEPTED[who]), (method, path, scheme, token)


@each_service
def test_without_tokens_set_everybody_may_ask_everything(service_client: Clients, service: str) -> None:
    client = service_client(service)
    assert 401 not in {ask(client, method, path, None) for method, path, _ in closed_to_all(client)}


@each_service
def test_a_token_that_is_not_set_opens_nothing(service_client: Clients, service: str) -> None:
    client = service_client(service, service_token=SERVICE)
    for method, path, who in closed_to_all(client):
        refused = ask(client, method, path, "Bearer ") == 401
        assert refused == (who is not Who.OPERATORS), (method, path)


@each_service
def test_nothing_is_said_about_a_request_without_the_token(service_client: Clients, service: str) -> None:
    client = service_client(service, **TOKENS)
    for method, path, _ in closed_to_all(client):
        response = client.open(path, method=method, data=b"{", content_type="text/plain")
        assert response.status_code == 401


@pytest.mark.parametrize(
    ("service", "path"), [("saga_orchestrator", "/saga"), ("saga_choreography", "/saga/choreography")]
)
def test_only_a_service_names_the_saga_of_a_checkout(service_client: Clients, service: str, path: str) -> None:
    client = service_client(service, **TOKENS)
    body = {"cart_id": str(new_id()), "user_id": "ana", "payment_method": "paypal", "billing_address": "1 High Street"}
    named = {**body, "saga_id": str(new_id())}
    for headers in ({}, {"Authorization": f"Bearer {ADMIN}"}):
        response = client.post(f"{path}/checkout", json=named, headers=headers)
        assert problem_of(response)["status"] == 401
    known = client.post(f"{path}/checkout", json=named, headers={"Authorization": f"Bearer {SERVICE}"})
    assert known.status_code != 401
    assert client.post(f"{path}/checkout", json=body).status_code != 401


@pytest.mark.parametrize("style", ["orchestrated", "choreographed"])
def test_services_know_each_other_by_the_token(
    start_system: Callable[..., RunningSystem], rabbitmq_url: str, style: str
) -> None:
    """A checkout runs and is compensated; without the token, none of its steps can be requested."""
    env = {name.upper(): token for name, token in TOKENS.items()}
    system = start_system(rabbitmq_url=rabbitmq_url, env=env)
    shop = {name: Peer(name, system.url(name), None, 60) for name in SERVICES}
    supplier = Peer("inventario", system.url("inventario"), SecretStr(SERVICE), 60)
    product = {"name": "Tea", "price": "4.99", "quantity": 10, "sku": str(new_id())}
    assert shop["inventario"].post("/api/products", product).status == 401
    product_id = supplier.post("/api/products", product).body["id"]
    cart = shop["carrito"].post("/carts", {"user_id": "ana"}).body["id"]
    assert shop["carrito"].post(f"/carts/{cart}/items", {"product_id": product_id, "quantity": 2}).status == 201
    checkout_body = {
        "cart_id": cart,
        "user_id": "ana",
        "payment_method": "credit_card",
        "billing_address": "1 High Street",
        "saga_pattern": style,
    }
    saga = shop["carrito"].request("POST", "/checkout/saga", checkout_body, {"Prefer": "wait=20"}, wait=20).body
    assert saga["status"] == "completed"
    of_saga = {"saga_id": saga["saga_id"], "cart_id": cart}
    assert shop["inventario"].post("/api/products/unreserve", of_saga).status == 401
    assert shop["pagos"].post(f"/api/v1/payments/saga/{saga['payment_id']}/refund", of_saga).status == 401
    assert shop["carrito"].post(f"/carts/{cart}/release", {"saga_id": saga["saga_id"]}).status == 401
    window, root = ("orchestrator", "/saga") if style == "orchestrated" else ("choreography", "/saga/choreography")
    operators = Peer(window, system.url(f"saga_{window}"), SecretStr(ADMIN), 60)
    path = f"{root}/{saga['saga_id']}/compensate"
    assert shop[f"saga_{window}"].post(path, {}).status == 401
    undone = operators.request("POST", path, {}, {"Prefer": "wait=20"}, wait=20)
    assert (undone.status, undone.body["status"]) == (202, "compensated")


def test_a_service_that_is_not_let_in_has_not_been_refused_its_request(
    start_system: Callable[..., RunningSystem],
) -> None:
    """The tokens differ, as while they are changed: the saga waits, and continues when they are equal again."""
    system = start_system(env={"SERVICE_TOKEN": SERVICE}, env_of={"pagos": {"SERVICE_TOKEN": "another"}})
    inventario, carrito, window = (
        Peer(name, system.url(name), SecretStr(SERVICE), 60) for name in ("inventario", "carrito", "saga_orchestrator")
    )
    product = {"name": "Tea", "price": "4.99", "quantity": 10, "sku": str(new_id())}
    product_id = inventario.post("/api/products", product).body["id"]
    cart = carrito.post("/carts", {"user_id": "ana"}).body["id"]
    carrito.post(f"/carts/{cart}/items", {"product_id": product_id, "quantity": 2})
    checkout_body = {
        "cart_id": cart,
        "user_id": "ana",
        "payment_method": "credit_card",
        "billing_address": "1 High Street",
        "saga_pattern": "orchestrated",
    }
    saga_id = carrito.post("/checkout/saga", checkout_body).body["saga_id"]

    def payment() -> Mapping[str, Any]:
        steps = {step["name"]: step for step in window.get(f"/saga/{saga_id}").body["steps"]}
        found: Mapping[str, Any] = steps["process_payment"]
        return found

    wait_until(lambda: payment()["attempts"] > 1, "it is tried again", 60)
    system.restart("pagos", SERVICE_TOKEN=SERVICE)
    wait_until(lambda: window.get(f"/saga/{saga_id}").body["status"] == "completed", "it is completed", 60)


@pytest.fixture
def gunicorn(database_url: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a service under gunicorn, bound to this address."""
    started: list[subprocess.Popen[str]] = []

    def start(service: str, bind: str, **settings: str) -> subprocess.Popen[str]:
        env = {"PATH": os.environ["PATH"], "SETTINGS_FILES": "", "DATABASE_URL": database_url, **settings}
        command = [sys.executable, "-m", "gunicorn", "--config", "shared/http/gunicorn_conf.py", "--bind", bind]
        process = subprocess.Popen(
            [*command, f"{service}.app:app"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@each_service
@pytest.mark.parametrize(("name", "other"), [("ADMIN_TOKEN", "SERVICE_TOKEN"), ("SERVICE_TOKEN", "ADMIN_TOKEN")])
def test_a_service_that_others_can_reach_does_not_start_without_both_tokens(
    gunicorn: Callable[..., subprocess.Popen[str]], service: str, name: str, other: str
) -> None:
    process = gunicorn(service, "0.0.0.0:0", **{name: "", other: "secret"})
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"without {name}:" in said
    assert "INSECURE_DEMO" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("settings", [{"ADMIN_TOKEN": ADMIN, "SERVICE_TOKEN": SERVICE}, {"INSECURE_DEMO": "true"}])
def test_it_starts_with_both_or_when_told_that_it_is_a_demo(
    gunicorn: Callable[..., subprocess.Popen[str]], settings: dict[str, str]
) -> None:
    port = ports.any_free()
    process = gunicorn("saga_choreography", f"0.0.0.0:{port}", **settings)
    peer = Peer("saga_choreography", f"http://127.0.0.1:{port}", None)

    def answers() -> bool:
        assert process.poll() is None
        with suppress(PeerUnavailable):
            return peer.get("/health").status == 200
        return False

    assert wait_until(answers, "it answers")
