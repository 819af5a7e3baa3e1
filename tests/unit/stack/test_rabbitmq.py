import socket
import threading
from pathlib import Path

import pytest

from stack import debian, rabbitmq
from stack.errors import StackError
from stack.home import Home
from stack.ports import any_free


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("RABBITMQ_DIST_PORT", "4001")
    monkeypatch.setenv("RABBITMQ_NODENAME", "somebody@else")
    monkeypatch.setenv("RABBITMQ_LOGS", "/var/log/theirs")
    return rabbitmq.environment(Home.at(tmp_path), Path("/usr/lib/rabbitmq/sbin"))


def test_what_the_user_set_for_another_node_is_not_for_ours(told: dict[str, str]) -> None:
    assert told["RABBITMQ_NODENAME"] == "rabbit@localhost"
    assert "RABBITMQ_LOGS" not in told


def test_port_mapper_and_distribution_are_on_loopback(told: dict[str, str]) -> None:
    assert told["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    assert "inet_dist_use_interface {127,0,0,1}" in told["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]


def test_listeners_are_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_PORT", "4002")
    monkeypatch.setenv("RABBITMQ_MANAGEMENT_PORT", "4003")
    home = Home.at(tmp_path)
    home.make()
    rabbitmq.configure(home)
    lines = (home.rabbitmq / "rabbitmq.conf").read_text().splitlines()
    assert "listeners.tcp.default = 127.0.0.1:4002" in lines
    assert {"management.tcp.ip = 127.0.0.1", "management.tcp.port = 4003"} <= set(lines)


def test_where_there_is_none_and_none_can_be_unpacked_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rabbitmq, "scripts_folder", lambda: None)
    monkeypatch.setattr(debian, "is_debian", lambda: False)
    with pytest.raises(StackError, match=r"Install rabbitmq-server.*RABBITMQ_URL"):
        rabbitmq.provide()


def test_nothing_there_is_not_ready() -> None:
    assert not rabbitmq.is_ready(f"amqp://127.0.0.1:{any_free()}/")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x00\x09\x01"])
def test_something_else_there_is_not_ready(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not rabbitmq.is_ready(f"amqp://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
