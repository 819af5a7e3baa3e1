"""What a scrape costs that reads a service's state: one transaction, whatever the database does and whoever asks."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from shared.testing import concurrently

SCRAPES = 24
LOCK_SECONDS = 1.0
HANGING = 120.0  # seconds; only keeps a test from hanging


@pytest.fixture
def orchestrator(service_client: Callable[..., FlaskClient], fresh_database_url: str) -> FlaskClient:
    return service_client("saga_orchestrator", database_url=fresh_database_url, lock_seconds=LOCK_SECONDS)


@pytest.fixture
def transactions(orchestrator: FlaskClient) -> list[float]:
    """When each transaction of the service began."""
    began: list[float] = []
    with orchestrator.application.app_context():
        engine = orchestrator.application.extensions["sqlalchemy"].engine
    event.listen(engine, "begin", lambda _: began.append(time.monotonic()))
    return began


@pytest.fixture
def sagas_locked(orchestrator: FlaskClient, fresh_database_url: str) -> Iterator[None]:
    """Somebody keeps all sagas locked, after a scrape that could read them."""
    assert "sagas_live{" in orchestrator.get("/metrics").text
    plain = fresh_database_url.replace("+psycopg2", "")
    with closing(psycopg2.connect(plain)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE saga_orchestrator.sagas, saga_orchestrator.purge_runs")
        yield


def test_a_scrape_reads_all_state_in_one_transaction(orchestrator: FlaskClient, transactions: list[float]) -> None:
    shown = orchestrator.get("/metrics").text
    assert "sagas_live{" in shown
    assert "purge_retention_seconds{" in shown
    assert len(transactions) == 1


@pytest.mark.usefixtures("sagas_locked")
def test_a_scrape_of_a_database_that_does_not_answer_waits_once(
    orchestrator: FlaskClient, transactions: list[float]
) -> None:
    transactions.clear()
    shown = orchestrator.get("/metrics").text
    assert "sagas_live{" not in shown
    assert "process_cpu_seconds_total" in shown
    assert "http_requests_total{" in shown
    assert len(transactions) == 1


@pytest.mark.usefixtures("sagas_locked")
def test_scrapes_that_come_together_share_one_read(orchestrator: FlaskClient, transactions: list[float]) -> None:
    transactions.clear()
    began = time.monotonic()
    answers = concurrently(*[lambda: orchestrator.get("/metrics")] * SCRAPES, seconds=HANGING)
    assert {answer.status_code for answer in answers} == {200}
    assert len(transactions) <= 1 + (time.monotonic() - began) / LOCK_SECONDS
