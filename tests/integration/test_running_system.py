"""The means by which other tests break things do break them."""

from collections.abc import Callable

import pytest
import requests

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
