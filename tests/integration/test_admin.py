"""Administrative endpoints and the token, in every service; and gunicorn, which starts none unprotected."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from flask.testing import FlaskClient

from shared.config import ROOT
from shared.http_client import Peer, PeerUnavailable
from shared.ids import new_id
from shared.testing import wait_until
from stack import ports
from tests.integration.api_client import problem_of
from tests.system.servers import SERVICES

TOKEN = "correct horse"
Clients = Callable[..., FlaskClient]

ADMINISTRATIVE = {
    "saga_orchestrator": {"POST /saga/{saga_id}/compensate", "POST /saga/{saga_id}/retry"},
    "saga_choreography": {
        "POST /saga/choreography/{saga_id}/compensate",
        "GET /saga/choreography/dead-letters",
        "POST /saga/choreography/dead-letters/redrive",
    },
}
each_operation = pytest.mark.parametrize(
    ("service", "operation"), [(service, each) for service, those in ADMINISTRATIVE.items() for each in sorted(those)]
)


def ask(client: FlaskClient, operation: str, said: str | None) -> int:
    method, _, path = operation.partition(" ")
    headers = {} if said is None else {"Authorization": said}
    path = re.sub(r"{\w+}", str(new_id()), path)
    response = client.open(path, method=method, json={}, headers=headers)
    if response.status_code >= 400:
        problem_of(response)
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    return response.status_code


@each_operation
def test_an_administrative_operation_is_done_for_who_has_the_token(
    service_client: Clients, service: str, operation: str
) -> None:
    client = service_client(service, admin_token=TOKEN)
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        "Bearer ü",
    ):
        assert ask(client, operation, wrong) == 401, wrong
    assert ask(client, operation, f"Bearer {TOKEN}") != 401


@each_operation
def test_without_a_token_set_it_is_done_for_everybody(service_client: Clients, service: str, operation: str) -> None:
    assert ask(service_client(service), operation, None) != 401


@each_operation
def test_nothing_is_said_about_a_request_without_the_token(
    service_client: Clients, service: str, operation: str
) -> None:
    client = service_client(service, admin_token=TOKEN)
    method, _, path = operation.partition(" ")
    response = client.open(path.replace("{saga_id}", "nonsense"), method=method, data=b"{", content_type="text/plain")
    assert response.status_code == 401


@pytest.mark.parametrize("service", SERVICES)
def test_the_document_says_which_operations_need_the_token(service_client: Clients, service: str) -> None:
    needed: list[dict[str, list[str]]] = [{}, {"admin_token": []}]
    for client, schemes in (
        (service_client(service), needed),
        (service_client(service, admin_token=TOKEN), needed[1:]),
    ):
        document = client.get("/openapi/openapi.json").json
        assert document is not None
        secured = {
            f"{method.upper()} {path}": operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if "security" in operation
        }
        assert secured.keys() == ADMINISTRATIVE.get(service, set())
        for operation in secured.values():
            assert operation["security"] == schemes
            assert "401" in operation["responses"]
        if secured:
            assert document["components"]["securitySchemes"]["admin_token"]["scheme"] == "bearer"


@pytest.fixture
def gunicorn(database_url: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a service under gunicorn, bound to where it is told."""
    started: list[subprocess.Popen[str]] = []

    def start(service: str, bind: str, **settings: str) -> subprocess.Popen[str]:
        env = {"PATH": os.environ["PATH"], "SETTINGS_FILES": "", "DATABASE_URL": database_url, **settings}
        command = [sys.executable, "-m", "gunicorn", "--config", "shared/gunicorn_conf.py", "--bind", bind]
        process = subprocess.Popen(
            [*command, f"{service}.app:app"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_others_can_reach_does_not_start_without_a_token(
    gunicorn: Callable[..., subprocess.Popen[str]], service: str
) -> None:
    process = gunicorn(service, "0.0.0.0:0", ADMIN_TOKEN="")
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "ADMIN_TOKEN" in said
    assert "INSECURE_DEMO" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("settings", [{"ADMIN_TOKEN": TOKEN}, {"INSECURE_DEMO": "true"}])
def test_it_starts_with_one_or_when_told_that_it_is_a_demo(
    gunicorn: Callable[..., subprocess.Popen[str]], settings: dict[str, str]
) -> None:
    port = ports.any_free()
    process = gunicorn("saga_choreography", f"0.0.0.0:{port}", **settings)
    peer = Peer("saga_choreography", f"http://127.0.0.1:{port}")

    def answers() -> bool:
        assert process.poll() is None
        with suppress(PeerUnavailable):
            return peer.get("/health").status == 200
        return False

    assert wait_until(answers, "it answers")
