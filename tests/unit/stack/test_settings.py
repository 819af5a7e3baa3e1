import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import settings
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.processes import PROCESSES, select

WEB = select(["carrito", "inventario"])


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    return tmp_path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    told = {"DATABASE_URL": "postgresql://u:p%40#$@h/d", "NAME": "two words", "QUOTES": 'say "no"'}
    settings.write_env_file(home, told)
    assert settings.read_env_file(home.env_file) == told


def test_only_the_owner_reads_passwords(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.env_file.write_text("")
    home.env_file.chmod(0o644)
    settings.write_env_file(home, {"DATABASE_URL": "secret"})
    assert home.env_file.stat().st_mode & 0o777 == 0o600


def test_an_env_file_may_have_comments_quotes_and_exports(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# no\n\nA=1 # one\nexport B='2 # two'\n C = \"3\"\nnonsense\n#D=4\n")
    assert settings.read_env_file(file) == {"A": "1", "B": "2 # two", "C": "3"}


def test_without_an_env_file_nothing_is_set(tmp_path: Path) -> None:
    assert settings.read_env_file(tmp_path / ".env") == {}


def test_the_environment_wins_over_the_env_file(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".env").write_text("PAGOS_PORT=1\nCARRITO_PORT=2\nINVENTARIO_PORT=\nORCHESTRATOR_PORT=4\n")
    monkeypatch.setenv("PAGOS_PORT", "3")
    monkeypatch.setenv("ORCHESTRATOR_PORT", "")
    user = settings.user_settings()
    assert (user["PAGOS_PORT"], user["CARRITO_PORT"]) == ("3", "2")
    assert user.keys() & {"INVENTARIO_PORT", "ORCHESTRATOR_PORT"} == set(), "empty is not set"


def test_a_server_of_the_users_own_is_not_started() -> None:
    ours = settings.ours(select(engine="temporal"), {"DATABASE_URL": "postgresql://h/d"})
    assert PROCESSES.keys() - {process.name for process in ours} == {"postgres"}


def test_a_stack_that_had_temporal_keeps_it_so_that_its_sagas_can_end(tmp_path: Path) -> None:
    home = Home.at(tmp_path)

    def has_temporal(**user: str) -> bool:
        return "temporal" in [process.name for process in settings.processes_of(home, user)]

    assert not has_temporal()
    assert has_temporal(SAGA_ENGINE="temporal")
    home.temporal.mkdir()
    assert has_temporal(SAGA_ENGINE="builtin")


def test_a_taken_port_is_reported_with_its_holder_and_the_variable_to_set(taken_port: int) -> None:
    with pytest.raises(StackError) as refused:
        settings.choose_ports(WEB, {"CARRITO_PORT": str(taken_port), "INVENTARIO_PORT": "0"}, private=False)
    assert f"Port {taken_port} is taken by pid {os.getpid()} (" in str(refused.value)
    assert "CARRITO_PORT=<port>" in str(refused.value)
    assert "INVENTARIO_PORT" not in str(refused.value)


@pytest.mark.parametrize("port", ["http", "-1", "65536", "3.5"])
def test_a_port_that_is_no_port_is_refused_by_its_name(port: str) -> None:
    with pytest.raises(StackError, match="CARRITO_PORT must be a port number"):
        settings.choose_ports(WEB, {"CARRITO_PORT": port}, private=True)


def test_two_processes_cannot_have_one_port() -> None:
    with pytest.raises(StackError, match="CARRITO_PORT and INVENTARIO_PORT are both 3100"):
        settings.choose_ports(WEB, {"CARRITO_PORT": "3100", "INVENTARIO_PORT": "3100"}, private=False)


def test_private_ports_are_free_ones_unless_set() -> None:
    free = settings.choose_ports(WEB, {}, private=True)["CARRITO_PORT"]
    chosen = settings.choose_ports(WEB, {"CARRITO_PORT": str(free)}, private=True)
    assert chosen["CARRITO_PORT"] == free
    assert chosen["INVENTARIO_PORT"] not in {free, 3001}


def test_services_are_found_where_they_are_started_or_where_the_user_says() -> None:
    urls = settings.service_urls({"CARRITO_PORT": 4000, "PAGOS_PORT": 4002}, {"PAGOS_SERVICE_URL": "http://pagos"})
    assert urls == {"CARRITO_SERVICE_URL": "http://127.0.0.1:4000", "PAGOS_SERVICE_URL": "http://pagos"}


def test_every_process_gets_what_the_user_set_and_what_the_stack_tells(tmp_path: Path) -> None:
    told = settings.environment(Home.at(tmp_path), {"HOLD_SECONDS": "5", "PAGOS_PORT": "0"}, {"PAGOS_PORT": "4002"})
    assert (told["HOLD_SECONDS"], told["PAGOS_PORT"]) == ("5", "4002")
    assert told["SAGA_STACK_HOME"] == str(tmp_path)


def test_the_example_names_every_setting_of_the_stack_with_its_default() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for process in PROCESSES.values():
        for name, port in process.ports.items():
            assert not port or f"#{name}={port}" in lines
        assert not process.url_setting or any(line.startswith(f"#{process.url_setting}=") for line in lines)
