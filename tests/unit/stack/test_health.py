"""The condition of a process that supervisord reports as running."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stack import health
from stack.health import Condition, condition
from stack.home import Home
from stack.ports import any_free
from stack.processes import PROCESSES, select
from stack.supervision import configuration

PAGOS, WORKER = PROCESSES["pagos"], PROCESSES["pagos-worker"]
INFO = {"statename": "RUNNING", "pid": 17, "start": 0}
Serve = Callable[[bytes], int]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path / "100% my shop")
    home.make()
    (home.supervisor / "supervisord.conf").write_text(configuration(home, select(), {}))
    return home


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer one request with this, or with nothing; return the port."""
    with ExitStack() as stack:

        def start(answer: bytes) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            over = threading.Event()

            def answer_one() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(10_000)
                    if answer:
                        connection.sendall(answer)
                    else:
                        over.wait(60)

            thread = threading.Thread(target=answer_one)
            thread.start()
            stack.callback(thread.join)
            stack.callback(over.set)
            return int(server.getsockname()[1])

        yield start


def of_web(home: Home, port: int) -> Condition:
    return condition(home, PAGOS, {"PAGOS_PORT": str(port)}, "pagos", INFO)


def of_worker(home: Home, info: Any = INFO) -> Condition:
    return condition(home, WORKER, {}, "pagos-worker", info)


def answer(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_a_web_process_is_as_it_answers(home: Home, serve: Serve) -> None:
    assert of_web(home, serve(answer("200 OK", "{}"))).state == "running"
    unwell = of_web(home, serve(answer("503 Service Unavailable", '{"detail": "database: away"}')))
    assert unwell == Condition("unwell", "database: away")


def test_one_that_nobody_answers_for_yet_is_starting(home: Home) -> None:
    assert of_web(home, any_free()).state == "starting"


def test_one_that_takes_a_request_and_does_not_answer_hangs(
    home: Home, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.05)
    assert of_web(home, serve(b"")).state == "hung"


def test_a_worker_is_as_its_heartbeat_tells(home: Home) -> None:
    assert of_worker(home).state == "starting"
    home.heartbeat("pagos-worker").touch()
    assert of_worker(home).state == "running"
    home.heartbeat("pagos-worker").write_text("events has not gone round for 60 s\n")
    assert of_worker(home) == Condition("hung", "events has not gone round for 60 s")
    home.heartbeat("pagos-worker").write_text("events: no such queue\n")
    assert of_worker(home) == Condition("unwell", "events: no such queue")


def test_the_heartbeat_of_the_one_before_says_nothing(home: Home) -> None:
    home.heartbeat("pagos-worker").touch()
    assert of_worker(home, {**INFO, "start": time.time() + 1}).state == "starting"


def test_a_worker_that_was_started_without_a_heartbeat_is_taken_at_its_word(home: Home) -> None:
    conf = home.supervisor / "supervisord.conf"
    conf.write_text("\n".join(line for line in conf.read_text().splitlines() if "environment" not in line))
    assert of_worker(home).state == "running"


def test_of_one_that_does_not_run_supervisord_knows_best(home: Home) -> None:
    assert of_worker(home, {**INFO, "statename": "BACKOFF"}) == Condition("backoff")
