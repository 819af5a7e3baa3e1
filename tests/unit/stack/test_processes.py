import sys

import pytest

from stack.home import ROOT
from stack.processes import PROCESSES, Process, select


def test_no_two_processes_share_a_port_or_a_setting() -> None:
    settings = [name for process in PROCESSES.values() for name in process.ports]
    ports = [port for process in PROCESSES.values() for port in process.ports.values() if port]
    assert len(set(settings)) == len(settings)
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize(
    ("name", "setting", "port"),
    [
        ("carrito", "CARRITO_PORT", 3000),
        ("inventario", "INVENTARIO_PORT", 3001),
        ("pagos", "PAGOS_PORT", 3002),
        ("saga_orchestrator", "ORCHESTRATOR_PORT", 3003),
        ("saga_choreography", "CHOREOGRAPHY_PORT", 3004),
        ("dashboard", "DASHBOARD_PORT", 8080),
        ("postgres", "POSTGRES_PORT", 5432),
        ("rabbitmq", "RABBITMQ_PORT", 5672),
        ("temporal", "TEMPORAL_PORT", 7233),
    ],
)
def test_the_well_known_ports_are_what_users_know(name: str, setting: str, port: int) -> None:
    process = PROCESSES[name]
    assert (process.port_setting, process.ports[setting]) == (setting, port)


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_every_module_that_is_run_exists(process: Process) -> None:
    module, app = process.command[1], process.command[-1].partition(":")[0]
    for name in {module, app} - {"gunicorn"}:
        assert (ROOT / name.replace(".", "/")).with_suffix(".py").exists()


def test_a_single_process_can_be_started_on_another_port() -> None:
    assert PROCESSES["pagos"].argv(4711) == [
        *(sys.executable, "-m", "gunicorn", "--config", "shared/http/gunicorn_conf.py"),
        *("--bind", "127.0.0.1:4711", "pagos.app:app"),
    ]


def test_a_process_without_a_given_port_listens_on_the_well_known_one() -> None:
    assert "127.0.0.1:3002" in PROCESSES["pagos"].argv()


def test_copies_have_names_of_their_own() -> None:
    assert PROCESSES["saga_orchestrator-worker"].instances() == [
        "saga_orchestrator-worker-1",
        "saga_orchestrator-worker-2",
    ]
    assert PROCESSES["carrito"].instances() == ["carrito"]


def test_processes_are_selected_in_the_lists_order() -> None:
    assert [process.name for process in select(["pagos", "postgres"])] == ["postgres", "pagos"]
    assert {*PROCESSES} - {process.name for process in select()} == {"temporal"}
    assert len(select(engine="temporal")) == len(PROCESSES)
