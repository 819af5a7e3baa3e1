"""`PORTS=auto`: free ports replace taken ones, and stay the same."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import remembered_ports, settings
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.processes import select

WEB = select(["carrito", "inventario"])


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


def chosen(home: Home, user: dict[str, str]) -> dict[str, int]:
    return settings.choose_ports(WEB, remembered_ports.settings_with_ports(home, user), private=False)


def test_a_taken_port_is_replaced_and_the_choice_is_remembered(home: Home, taken_port: int) -> None:
    (home.path / remembered_ports.FILE).write_text(f"CARRITO_PORT={taken_port}\nINVENTARIO_PORT=31999\n")
    remembered_ports.replace_taken(home, WEB, {})
    first = chosen(home, {})
    assert first["CARRITO_PORT"] not in {taken_port, 3000}
    assert first["INVENTARIO_PORT"] == 31999, "it was free, so it stays"
    remembered_ports.replace_taken(home, WEB, {})
    assert chosen(home, {}) == first


def test_a_port_that_the_user_set_is_not_replaced(home: Home, taken_port: int) -> None:
    user = {"CARRITO_PORT": str(taken_port), "INVENTARIO_PORT": "0"}
    remembered_ports.replace_taken(home, WEB, user)
    with pytest.raises(StackError, match=f"Port {taken_port} is taken by .*CARRITO_PORT=<port>"):
        chosen(home, user)


def test_taken_ports_are_named_in_one_message_before_anything_is_installed(home: Home, taken_port: int) -> None:
    """With a Python without libraries, as on a machine before the installation."""
    ports = {name: "0" for process in select() for name in process.ports}
    environment = os.environ | ports | {"CARRITO_PORT": str(taken_port), "DATABASE_URL": "", "RABBITMQ_URL": ""}
    command = [sys.executable, "-S", "-m", "stack", "ports", "--home", str(home.path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"Port {taken_port} is taken by pid {os.getpid()}" in done.stderr
    assert "make demo PORTS=auto" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_taken_ports_nothing_is_said(home: Home) -> None:
    ports = {name: "0" for process in select() for name in process.ports}
    command = [sys.executable, "-S", "-m", "stack", "ports", "--ports", "auto", "--home", str(home.path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ports, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stack_can_be_stopped_without_any_library(home: Home) -> None:
    command = [sys.executable, "-S", "-m", "stack", "down", "--home", str(home.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Nothing was running.\n"), done.stderr
