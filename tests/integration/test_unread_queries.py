"""A query that an endpoint does not read is refused, so that the answer is not taken for another one."""

import re
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from shared.ids import new_id
from tests.integration.api_client import problem_of
from tests.system.servers import SERVICES

Clients = Callable[..., FlaskClient]
PROBED = {"/health", "/metrics"}  # monitoring adds parameters to these

each_service = pytest.mark.parametrize("service", SERVICES)


def operations(client: FlaskClient) -> Iterator[tuple[str, str]]:
    """Yield the method and path of every operation of the service."""
    app = client.application
    for rule in app.url_map.iter_rules():
        if rule.endpoint in app.extensions["framework_endpoints"] or rule.rule in PROBED:
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, re.sub(r"<([^<>]*:)?\w+>", str(new_id()), rule.rule)


@each_service
def test_an_unknown_field_of_a_query_is_named_and_refused(service_client: Clients, service: str) -> None:
    client = service_client(service)
    for method, path in operations(client):
        problem = problem_of(client.open(f"{path}?no_such_field=1", method=method, json={}))
        assert problem["status"] == 422, (method, path)
        assert "no_such_field" in {each["field"] for each in problem["errors"]}, (method, path)


@each_service
def test_who_probes_a_service_may_add_anything(service_client: Clients, service: str) -> None:
    client = service_client(service)
    assert client.get("/metrics?no_such_field=1").status_code == 200
