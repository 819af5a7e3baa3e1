"""The methods by which other tests break processes do so."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, text

from tests.integration.api_client import wait_for_blocked
from tests.system.running import RunningSystem

Start = Callable[..., RunningSystem]


def test_a_killed_service_refuses_connections_and_comes_back_at_the_same_address(start_system: Start) -> None:
    system = start_system(processes=["inventario"])
    url = system.url("inventario") + "/health"
    system.kill("inventario")
    assert not system.alive("inventario")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    system.restart("inventario")
    assert requests.get(url, timeout=5).status_code == 200


def test_a_worker_does_not_outlive_its_master_not_even_to_end_a_request(
    start_system: Start, fresh_database_url: str
) -> None:
    """An orphan would hold the port that the next master needs, until its graceful stop ends."""
    patient = {"GUNICORN_CMD_ARGS": "--reuse-port --graceful-timeout 600"}
    system = start_system(processes=["inventario"], env_of={"inventario": patient})
    product = {"name": "a", "price": 1, "quantity": 1, "sku": "a"}
    adding = threading.Thread(target=_ignoring_errors, args=(system.url("inventario") + "/api/products", product))
    engine = create_engine(fresh_database_url)
    with engine.connect() as blocker, blocker.begin():
        blocker.execute(text("SET LOCAL ROLE inventario"))
        blocker.execute(text("LOCK TABLE inventario.products"))
        adding.start()
        wait_for_blocked(blocker)
        system.kill_alone("inventario")
    adding.join()
    engine.dispose()


def _ignoring_errors(url: str, body: dict[str, Any]) -> None:
    with suppress(requests.RequestException):
        requests.post(url, json=body, timeout=60)


def test_a_frozen_service_answers_when_it_is_thawed(start_system: Start) -> None:
    system = start_system(processes=["inventario"])
    url = system.url("inventario") + "/health"
    system.freeze("inventario")
    with pytest.raises(requests.Timeout):
        requests.get(url, timeout=0.2)
    system.thaw("inventario")
    assert requests.get(url, timeout=5).status_code == 200


def test_stop_is_graceful(start_system: Start) -> None:
    system = start_system(processes=["inventario"])
    assert system.stop("inventario") == 0


def test_a_fault_kills_a_service_once(start_system: Start) -> None:
    point = "inventario.GET /audit.before_answer"
    system = start_system(processes=["inventario"], env_of={"inventario": {"FAULT_KILL_AT": point}})
    assert not system.fault_fired("inventario")
    with pytest.raises(requests.ConnectionError):
        requests.get(system.url("inventario") + "/audit", timeout=5)
    system.wait_dead("inventario")
    assert system.fault_fired("inventario")
    system.restart("inventario")
    assert requests.get(system.url("inventario") + "/audit", timeout=5).status_code == 200
    system.restart("inventario", FAULT_KILL_AT=point)
    with pytest.raises(requests.ConnectionError):
        requests.get(system.url("inventario") + "/audit", timeout=5)


def test_copies_have_names_and_die_alone(start_system: Start) -> None:
    system = start_system(processes=["inventario-worker"], copies={"inventario-worker": 3})
    assert system.names == ["inventario-worker-1", "inventario-worker-2", "inventario-worker-3"]
    system.kill("inventario-worker-2")
    assert [system.alive(name) for name in system.names] == [True, False, True]
