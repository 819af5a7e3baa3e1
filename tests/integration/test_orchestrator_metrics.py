"""The orchestrator's metrics for Prometheus."""

from collections.abc import Callable

from flask.testing import FlaskClient

from saga_orchestrator import service
from saga_orchestrator.models import db
from tests.integration.orchestrated import new_checkout


def test_live_sagas_are_counted_by_status(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> None:
    client = service_client("saga_orchestrator", database_url=fresh_database_url)
    with client.application.app_context(), db.transaction() as connection:
        checkouts = [new_checkout() for _ in range(3)]
        service.accept_sagas(connection, checkouts, 60)
    exposition = client.get("/metrics").text
    assert 'sagas_live{status="pending",style="orchestrated"} 3.0' in exposition
    assert 'sagas_live{status="stuck",style="orchestrated"} 0.0' in exposition
    assert 'sagas_live{status="completed"' not in exposition
    assert 'http_requests_total{method="GET",route="/metrics"' in client.get("/metrics").text
