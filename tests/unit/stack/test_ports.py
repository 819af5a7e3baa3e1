import os
import socket

from stack import ports


def test_a_port_with_a_listener_is_not_free_and_its_holder_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert f"pid {os.getpid()} (" in ports.holder(port)
    assert ports.is_free(port)


def test_a_listener_on_every_address_counts_too() -> None:
    with socket.create_server(("", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_connections_that_have_just_ended_do_not_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the connection in TIME_WAIT
        client.close()
    assert ports.is_free(port)


def test_free_ports_are_not_those_that_outgoing_connections_get() -> None:
    assert ports.any_free() in ports.FREE_RANGE
    assert max(ports.FREE_RANGE) < 32_768


def test_a_holder_that_cannot_be_seen_is_somebody_elses() -> None:
    assert ports.holder(ports.any_free()) == "a process of another user"
