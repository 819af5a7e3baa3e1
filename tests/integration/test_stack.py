"""The stack on real servers: private, on free ports, in folders of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.testing import wait_until
from stack import lifecycle, owned, ports, postgres, rabbitmq, servers, settings
from stack.errors import StackError
from stack.home import ROOT, Home
from stack.processes import PROCESSES, Process
from stack.supervision import Supervisor
from stack.up import changed
from tests.system import brokers
from tests.system.brokers import needs_rabbitmq

LOOPBACK = {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1 in the notation of /proc/net
PORTS = {name: "0" for process in PROCESSES.values() for name in process.ports}


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_the_users() -> Iterator[None]:
    """Remove the user's settings: these tests are about private servers."""
    with pytest.MonkeyPatch.context() as patch:
        for setting in settings.SERVER_OF:
            patch.setenv(setting, "")
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a running PostgreSQL; its path has a space."""
    home = tmp_path_factory.mktemp("my stack")
    servers.start(home, only=["postgres"])
    yield home
    servers.stop(home)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """An empty home; whatever the test starts there ends with it."""
    yield tmp_path
    servers.stop(tmp_path)


def database_url(home: Path) -> str:
    return settings.read_env_file(Home.at(home).env_file)["DATABASE_URL"]


def query(home: Path, *statements: str) -> object:
    """Return the result of the last of these statements."""
    engine = create_engine(database_url(home), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        results = [connection.execute(text(statement)) for statement in statements]
        return results[-1].scalar() if results[-1].returns_rows else None


def listening_beyond_loopback(home: Path) -> set[str]:
    """Return the addresses, other than loopback, on which this home's processes listen."""
    sockets = {
        os.readlink(link)
        for pid in owned.processes(Home.at(home))
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                addresses.add(fields[1].partition(":")[0])
    assert addresses, "they listen somewhere"
    return addresses - LOOPBACK


def stack(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m stack`."""
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments, "--home", str(home)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_postgres_keeps_what_it_has_confirmed(home: Path) -> None:
    assert query(home, "SHOW fsync") == "on"
    assert query(home, "SHOW synchronous_commit") == "on"


def test_a_service_can_have_a_role_and_a_schema_of_its_own(home: Path) -> None:
    own = ("CREATE ROLE shop", "GRANT shop TO saga", "CREATE SCHEMA shop AUTHORIZATION shop", "SET ROLE shop")
    assert query(home, *own, "CREATE TABLE shop.t (i int)", "SELECT count(*) FROM shop.t") == 0
    assert query(home, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


def test_starting_again_changes_nothing(home: Path) -> None:
    pid = servers.pid_of(home, "postgres")
    assert servers.start(home, only=["postgres"])["DATABASE_URL"] == database_url(home)
    assert servers.pid_of(home, "postgres") == pid


def test_a_killed_postgres_comes_back_on_its_port_with_its_data(home: Path) -> None:
    query(home, "CREATE TABLE kept AS SELECT 7 AS i")
    killed = servers.kill(home, "postgres")
    wait_until(lambda: postgres.is_ready(database_url(home)), "PostgreSQL is back", 30)
    assert servers.pid_of(home, "postgres") != killed
    assert query(home, "SELECT i FROM kept") == 7


def test_a_stopped_postgres_stays_away_until_it_is_started(home: Path) -> None:
    servers.stop_one(home, "postgres")
    assert not postgres.is_ready(database_url(home))
    servers.start_one(home, "postgres")
    assert postgres.is_ready(database_url(home))


def test_a_database_that_one_s_own_server_does_not_have_is_named_at_once(home: Path, tmp_path: Path) -> None:
    missing = database_url(home).rpartition("/")[0] + "/no%20shop"
    with pytest.raises(StackError, match=r'has no database "no shop", which .*createdb \'no shop\''):
        lifecycle.await_server(Home.at(tmp_path), "postgres", {"DATABASE_URL": missing})


def test_two_homes_run_at_once_and_end_alone(home: Path, fresh: Path) -> None:
    told = servers.start(fresh, only=["postgres"])
    assert told["DATABASE_URL"] != database_url(home)
    servers.stop(fresh)
    assert not postgres.is_ready(told["DATABASE_URL"])
    assert postgres.is_ready(database_url(home))


def test_a_killed_machine_comes_up_again_though_its_pids_are_others_now(fresh: Path) -> None:
    servers.start(fresh, only=["postgres"])
    query(fresh, "CREATE TABLE kept AS SELECT 7 AS i")
    for pid in owned.processes(Home.at(fresh)):
        with suppress(ProcessLookupError):  # PostgreSQL's children end with it
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not owned.processes(Home.at(fresh)), "all are dead", 10)
    pid_file = fresh / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text("\n".join([str(os.getppid()), *pid_file.read_text().splitlines()[1:]]))
    servers.start(fresh, only=["postgres"])
    assert query(fresh, "SELECT i FROM kept") == 7


def test_down_finds_everything_when_the_supervisor_and_its_records_are_gone(fresh: Path) -> None:
    servers.start(fresh, only=["postgres"])
    url = database_url(fresh)
    home = Home.at(fresh)
    os.kill(int((home.supervisor / "supervisord.pid").read_text()), signal.SIGKILL)
    shutil.rmtree(home.supervisor)
    home.env_file.unlink()
    assert stack("down", home=fresh).stdout == "Stopped.\n"
    assert owned.processes(home) == set()
    assert not postgres.is_ready(url)


@needs_rabbitmq
def test_rabbitmq_starts_privately_and_comes_back_when_it_is_killed(fresh: Path) -> None:
    told = servers.start(fresh)
    assert rabbitmq.is_ready(told["RABBITMQ_URL"])
    assert not rabbitmq.is_ready(told["RABBITMQ_URL"].replace("guest:guest", "guest:wrong"))
    assert listening_beyond_loopback(fresh) == set()
    servers.kill(fresh, "rabbitmq")
    wait_until(lambda: rabbitmq.is_ready(told["RABBITMQ_URL"]), "RabbitMQ is back", 60)
    servers.stop(fresh)
    assert owned.processes(Home.at(fresh)) == set()  # Erlang's port mapper is independent, and must end, too


def test_a_taken_port_stops_everything_before_it_starts(fresh: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = stack("up", home=fresh, **{**PORTS, "PAGOS_PORT": str(port)})
    assert refused.returncode == 1
    assert f"Port {port} is taken by pid {os.getpid()} (" in refused.stderr
    assert "PAGOS_PORT=<port>" in refused.stderr
    assert owned.processes(Home.at(fresh)) == set()


def test_a_server_of_the_users_that_is_not_there_is_reported_by_its_setting(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(lifecycle, "THEIRS_SECONDS", 0)
    with pytest.raises(StackError, match=r"DATABASE_URL is set, but no postgres .* \(127\.0\.0\.1:1\)"):
        servers.start(fresh, only=["postgres"])


def test_a_server_that_does_not_start_is_reported_with_its_log(fresh: Path) -> None:
    home = Home.at(fresh)
    home.make()
    (home.postgres / "data").mkdir()  # not a cluster
    refused = stack("servers", "--only=postgres", home=fresh)
    assert refused.returncode == 1
    assert "postgres does not start." in refused.stderr
    assert "Its first error: " in refused.stderr
    assert f"in {home.log('postgres')}:" in refused.stderr


@needs_rabbitmq
def test_a_rabbitmq_that_does_not_start_is_reported_with_its_first_error_and_not_with_its_crash(fresh: Path) -> None:
    home = Home.at(fresh)
    home.make()
    cookie = home.rabbitmq / ".erlang.cookie"
    cookie.write_text("secret")
    cookie.chmod(0o644)
    refused = stack("servers", "--only=rabbitmq", home=fresh)
    assert refused.returncode == 1
    first = next(line for line in refused.stderr.splitlines() if line.startswith("Its first error: "))
    assert f"Cookie file {cookie} must be accessible by owner only" in first


@needs_rabbitmq
def test_a_rabbitmq_whose_port_mapper_s_port_is_another_s_says_who_has_it(fresh: Path) -> None:
    """It was free when it was chosen, and is taken when the node restarts."""
    servers.start(fresh, only=["rabbitmq"])
    port = int(settings.read_env_file(Home.at(fresh).env_file)["ERL_EPMD_PORT"])
    servers.stop_one(fresh, "rabbitmq")
    for pid in set(ports.holders(port)):
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: ports.is_free(port), "the port mapper is gone", 60)
    with socket.create_server(("127.0.0.1", port)):
        refused = stack("start", "rabbitmq", home=fresh)
    assert refused.returncode == 1
    assert f"Port {port}, of Erlang's port mapper (epmd), is taken by pid {os.getpid()} (" in refused.stderr
    servers.start_one(fresh, "rabbitmq")


@needs_rabbitmq
def test_the_whole_stack_comes_up_heals_itself_and_leaves_nothing(fresh: Path) -> None:
    home = Home.at(fresh)
    started = stack("up", home=fresh, **PORTS)
    assert started.returncode == 0, started.stdout + started.stderr
    assert listening_beyond_loopback(fresh) == set()
    assert "Already up." in stack("up", home=fresh, **PORTS).stdout

    pids = {name: info["pid"] for name, info in Supervisor(home).states().items()}
    brokers.sync(fresh)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _all_run_anew(home, pids), "every process is back", 300)
    again = stack("up", home=fresh, **PORTS)
    assert again.returncode == 0, again.stdout + again.stderr

    assert _states(stack("status", home=fresh).stdout) == dict.fromkeys(pids, "running")
    _shows_what_hangs(fresh, "pagos-worker")
    assert stack("down", home=fresh).stdout == "Stopped.\n"
    assert owned.processes(home) == set()
    assert "Not running" in stack("status", home=fresh).stdout


def test_what_the_supervisor_starts_by_itself_meanwhile_is_started(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(fresh)
    home.make()
    process = Process("toy", "", ("-c", "import time; time.sleep(600)"), {"TOY_PORT": 0}, server=True)
    Supervisor(home).launch([process], {}, settings.environment(home, {}, {}))
    Supervisor(home).start(["toy"])
    monkeypatch.setattr(Supervisor, "state", lambda *_: "EXITED")  # the process has ended before it is read
    Supervisor(home).start(["toy"])


def test_a_stack_that_an_older_version_started_is_joined_by_what_it_did_not_have(fresh: Path) -> None:
    home = Home.at(fresh)
    old, new = (
        Process(name, "", ("-c", "import time; time.sleep(600)"), {f"{name.upper()}_PORT": 0}, server=True)
        for name in ("old", "new")
    )
    told = lifecycle.launch(home, [], {}, {}) | {"OLD_PORT": "1"}
    Supervisor(home).launch([old], {}, settings.environment(home, {}, told))
    Supervisor(home).start(["old"])
    pid = servers.pid_of(fresh, "old")
    joined = replace(new, server=False)

    told = lifecycle.add_missing(home, [replace(old, server=False), joined], {"NEW_PORT": "0"}, told, private=False)
    Supervisor(home).start(["new"])

    assert told["OLD_PORT"] == "1"
    assert int(told["NEW_PORT"]) > 0
    assert settings.read_env_file(home.env_file) == told
    assert Supervisor(home).states().keys() == {"old", "new"}
    assert servers.pid_of(fresh, "old") == pid, "what ran goes on"
    assert lifecycle.add_missing(home, [old, joined], {}, told, private=False) == told


def test_settings_that_changed_since_an_up_that_was_interrupted_are_named_and_nothing_starts_with_the_old_ones(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(fresh)
    theirs = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "RABBITMQ_URL": "amqp://127.0.0.1:9/"}
    for name, value in {**theirs, **PORTS, "HOLD_SECONDS": "5", "LOG_LEVEL": "DEBUG", "TERM": "one"}.items():
        monkeypatch.setenv(name, value)
    user = settings.user_settings()
    processes = settings.processes_of(home, user)
    begun = settings.ours(processes, user)
    told = lifecycle.launch(home, processes, user, settings.choose_ports(begun, user, private=False))

    assert changed(home, user, told) == [], "the same once more"
    now = {"HOLD_SECONDS": "6", "LOG_LEVEL": "", "OTEL_EXPORTER_OTLP_HEADERS": "key=hidden", "TERM": "two"}
    refused = stack("up", home=fresh, **now)
    assert refused.returncode == 1
    assert "other settings than now: HOLD_SECONDS, LOG_LEVEL, OTEL_EXPORTER_OTLP_HEADERS. To apply" in refused.stderr
    assert "make down" in refused.stderr
    assert "hidden" not in refused.stdout + refused.stderr
    assert {info["statename"] for info in Supervisor(home).states().values()} == {"STOPPED"}


def _states(shown: str) -> dict[str, str]:
    """Return the state that `make status` shows, by process."""
    rows = [line.split() for line in shown.splitlines() if not line.startswith(" ")]
    names = {name for process in PROCESSES.values() for name in process.instances()}
    return {row[0]: row[1] for row in rows if len(row) > 2 and row[0] in names and row[2].isdecimal()}


def _shows_what_hangs(home: Path, name: str) -> None:
    """Check that a frozen worker is shown as hung, and as running when it continues."""
    pid = servers.pid_of(home, name)

    def state() -> str:
        return _states(stack("status", home=home).stdout)[name]

    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state() == "hung", "it is seen to hang", 300)
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: state() == "running", "it goes on", 300)


def _all_run_anew(home: Home, before: dict[str, int]) -> bool:
    states = Supervisor(home).states()
    return all(states[name]["statename"] == "RUNNING" and states[name]["pid"] != pid for name, pid in before.items())
