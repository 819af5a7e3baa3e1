import configparser
import socket
import threading
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from shared.process import heartbeat
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.processes import PROCESSES, select
from stack.supervision import Supervisor, configuration


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose path has characters that are special in configuration files."""
    home = Home.at(tmp_path / "100% my shop")
    home.make()
    return home


@pytest.fixture
def understood(home: Home) -> ServerOptions:
    """Return the configuration as supervisord reads it."""
    file = home.supervisor / "supervisord.conf"
    file.write_text(configuration(home, select(), {"PAGOS_PORT": 4002}))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    return options


def test_supervisord_reads_every_process_and_copy(understood: ServerOptions) -> None:
    names = [group.process_configs[0].name for group in understood.process_group_configs]
    assert sorted(names) == sorted(name for process in select() for name in process.instances())


def test_supervisord_starts_them_as_declared(home: Home, understood: ServerOptions) -> None:
    configs = {group.process_configs[0].name: group.process_configs[0] for group in understood.process_group_configs}
    pagos = configs["pagos"]
    assert "127.0.0.1:4002" in pagos.command
    assert pagos.directory == str(ROOT)
    assert pagos.stdout_logfile == str(home.logs / "pagos.log")
    assert (pagos.autostart, pagos.autorestart.__name__) == (False, "RestartUnconditionally")
    assert configs["postgres"].stopsignal.name == "SIGINT"


def test_each_worker_is_told_where_its_heartbeat_is_read(home: Home, understood: ServerOptions) -> None:
    configs = {group.process_configs[0].name: group.process_configs[0] for group in understood.process_group_configs}
    told = {name: (config.environment or {}).get(heartbeat.FILE) for name, config in configs.items()}
    workers = [name for process in PROCESSES.values() if process.worker for name in process.instances()]
    assert {name: file for name, file in told.items() if file} == {name: str(home.heartbeat(name)) for name in workers}
    assert Supervisor(home).hears_beats("pagos-worker")
    assert not Supervisor(home).hears_beats("pagos")


def test_each_worker_shows_its_metrics_at_a_port_of_its_own(home: Home) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(home, select(), {}, {"METRICS_ADDRESS": "127.0.0.1:9464"}))
    workers = [name for process in PROCESSES.values() if process.worker for name in process.instances()]
    told = [parser[f"program:{name}"]["environment"].rpartition("METRICS_ADDRESS=")[2] for name in workers]
    assert told == [f'"127.0.0.1:{9464 + n}"' for n in range(len(workers))]
    assert "METRICS_ADDRESS" not in configuration(home, select(), {})


def test_supervisord_is_reached_on_loopback_with_a_password(home: Home) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(home, [], {}))
    assert parser["inet_http_server"]["port"].startswith("127.0.0.1:")
    assert len(parser["inet_http_server"]["password"]) == 32


def test_without_a_supervisord_nothing_runs(home: Home) -> None:
    assert not Supervisor(home).is_running()
    assert Supervisor(home).states() == {}


@pytest.mark.parametrize("left", ["", "[inet_http_server]\n", "nonsense\n"])
def test_a_damaged_record_of_a_supervisord_counts_as_none(home: Home, left: str) -> None:
    (home.supervisor / "supervisord.conf").write_text(left)
    assert not Supervisor(home).is_running()


def test_a_dead_supervisord_is_noticed(home: Home) -> None:
    (home.supervisor / "supervisord.conf").write_text(configuration(home, [], {}))
    assert not Supervisor(home).is_running()


def test_another_server_on_its_port_is_not_taken_for_it(home: Home) -> None:
    text = configuration(home, [], {})
    (home.supervisor / "supervisord.conf").write_text(text)
    port = int(text.partition("127.0.0.1:")[2].split()[0])
    with socket.create_server(("127.0.0.1", port)) as server:
        thread = threading.Thread(target=_answer_nonsense, args=[server])
        thread.start()
        assert not Supervisor(home).is_running()
        thread.join()


def _answer_nonsense(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(10_000)
        connection.sendall(b"nonsense\r\n")


def test_a_process_that_was_not_started_is_unknown(home: Home) -> None:
    with pytest.raises(StackError, match=r"No rabbitmq was started"):
        Supervisor(home).start(["rabbitmq"])
