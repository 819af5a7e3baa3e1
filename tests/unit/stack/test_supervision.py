import configparser
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from stack.home import ROOT, Home
from stack.processes import PROCESSES, select
from stack.supervision import Supervisor, configuration


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose path has what such files trip over."""
    home = Home.at(tmp_path / "100% my shop")
    home.make()
    return home


@pytest.fixture
def understood(home: Home) -> ServerOptions:
    """The configuration as supervisord understands it."""
    file = home.supervisor / "supervisord.conf"
    file.write_text(configuration(home, select(), {"PAGOS_PORT": 4002}))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    return options


def test_supervisord_reads_every_process_and_copy(understood: ServerOptions) -> None:
    names = [group.process_configs[0].name for group in understood.process_group_configs]
    assert sorted(names) == sorted(name for process in PROCESSES.values() for name in process.instances())


def test_supervisord_starts_them_as_declared(home: Home, understood: ServerOptions) -> None:
    configs = {group.process_configs[0].name: group.process_configs[0] for group in understood.process_group_configs}
    pagos = configs["pagos"]
    assert "127.0.0.1:4002" in pagos.command
    assert pagos.directory == str(ROOT)
    assert pagos.stdout_logfile == str(home.logs / "pagos.log")
    assert (pagos.autostart, pagos.autorestart.__name__) == (False, "RestartUnconditionally")
    assert configs["postgres"].stopsignal.name == "SIGINT"


def test_supervisord_is_reached_on_loopback_with_a_password(home: Home) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(configuration(home, [], {}))
    assert parser["inet_http_server"]["port"].startswith("127.0.0.1:")
    assert len(parser["inet_http_server"]["password"]) == 32


def test_without_a_supervisord_nothing_runs(home: Home) -> None:
    assert not Supervisor(home).is_running()
    assert Supervisor(home).states() == {}


def test_a_dead_supervisord_is_noticed(home: Home) -> None:
    (home.supervisor / "supervisord.conf").write_text(configuration(home, [], {}))
    assert not Supervisor(home).is_running()
