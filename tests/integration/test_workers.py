"""Workers as processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeout

from saga_choreography import models as choreography
from saga_choreography.config import Settings as ChoreographySettings
from saga_orchestrator import service
from saga_orchestrator.config import Settings
from saga_orchestrator.execution import executor
from saga_orchestrator.models import db
from shared.config import ROOT
from shared.database.listen import ShutdownSignal, notify
from shared.messaging import event_worker
from shared.messaging.subscription import Subscription
from shared.process import heartbeat, worker
from shared.testing import wait_until
from tests.integration.orchestrated import new_checkout
from tests.system import heartbeats
from tests.system.queues import Queues
from tests.system.running import RunningSystem

Start = Callable[..., RunningSystem]
Client = Callable[..., FlaskClient]
CONTAINERS = yaml.safe_load((ROOT / "docker-compose.saga.yml").read_text())["services"]
LONG = 120.0  # seconds; only keeps a test from hanging
WORKERS = ["carrito", "inventario", "pagos", "saga_choreography", "saga_orchestrator"]


def run(service: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a worker that ends by itself; return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", f"{service}.worker"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("service", WORKERS)
def test_a_worker_that_cannot_work_ends_so_that_it_is_noticed(
    service: str, database_url: str, empty_database_url: str, rabbitmq_url: str
) -> None:
    """A database without tables is not an outage; a process that only seems alive would hide it. The roles exist."""
    assert database_url != empty_database_url
    done = run(service, RABBITMQ_URL=rabbitmq_url, **{f"{service.upper()}_DATABASE_URL": empty_database_url})
    assert done.returncode > 0
    assert "does not exist" in done.stderr


def test_a_worker_that_has_nothing_to_do_says_so(database_url: str) -> None:
    done = run("pagos", RABBITMQ_URL="", PURGE_SECONDS="0", PAGOS_DATABASE_URL=database_url, SETTINGS_FILES="")
    assert done.returncode > 0
    assert "RABBITMQ_URL is not set" in done.stderr


def accept(connection: Connection) -> None:
    """Accept a saga for executors."""
    assert service.accept_sagas(connection, [new_checkout()], 60) == [True]


def is_well(file: Path) -> bool:
    """Whether a container's health check finds the process well."""
    (command,) = {CONTAINERS[f"{service}-worker"]["healthcheck"]["test"][1] for service in WORKERS}
    env = {**os.environ, heartbeat.FILE: str(file)}
    return subprocess.run(["sh", "-c", command.replace("$$", "$")], env=env, check=False).returncode == 0


def is_unwell(file: Path) -> bool:
    return not is_well(file)


def test_a_worker_is_well_while_it_has_nothing_to_do_and_not_when_it_is_frozen(
    start_system: Start, rabbitmq_url: str, tmp_path: Path
) -> None:
    files = {f"{service}-worker": tmp_path / f"{service}.heartbeat" for service in WORKERS}
    system = start_system(
        processes=list(files),
        copies={"saga_orchestrator-worker": 1},
        rabbitmq_url=rabbitmq_url,
        env_of={name: {heartbeat.FILE: str(file)} for name, file in files.items()},
    )
    for name, file in files.items():
        wait_until(partial(is_well, file), f"{name} is well", LONG)
        system.freeze(name)
    old = time.time() - heartbeat.STALE_SECONDS - 1
    for name, file in files.items():
        os.utime(file, (old, old))  # nothing writes the file again
        assert is_unwell(file)
        assert heartbeats.trouble(file).startswith("frozen for ")
        system.thaw(name)
        wait_until(partial(is_well, file), f"{name} is well again", LONG)


@pytest.fixture
def beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The heartbeat of this process, which reports a hanging loop soon."""
    monkeypatch.setenv(heartbeat.FILE, str(tmp_path / "heartbeat"))
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(heartbeat, "HANG_SECONDS", 1.0)
    return tmp_path / "heartbeat"


class Hang:
    """A function that does not return before the end of the test."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.over.wait(LONG)
        raise PoolTimeout("until the end of the test")


@contextmanager
def running(work: Callable[[], None], stop: ShutdownSignal, hang: Hang) -> Iterator[None]:
    """Run a worker in a thread of this process."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        hang.over.set()
        thread.join()


def hung(file: Path) -> str:
    return wait_until(lambda: heartbeats.trouble(file), "a loop hangs", LONG)


@pytest.mark.parametrize(
    "hangs",
    [
        ("saga_orchestrator.runtime.leases.claim", "claims "),
        ("saga_orchestrator.runtime.store.save", "writes-0 "),
        ("saga_orchestrator.runtime.participants.Participants.send", "inventario-0 "),
        ("saga_orchestrator.runtime.checkpoints.Checkpointer.write_progress", "leases "),
    ],
)
def test_a_loop_of_an_executor_that_hangs_is_named(
    hangs: tuple[str, str],
    beats: Path,
    service_client: Client,
    fresh_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hang, stop = Hang(), ShutdownSignal()
    app = service_client("saga_orchestrator", database_url=fresh_database_url).application
    told: dict[str, Any] = {"SAGA_ORCHESTRATOR_DATABASE_URL": fresh_database_url, "executor_threads": 1}
    told |= dict.fromkeys(("carrito_service_url", "inventario_service_url", "pagos_service_url"), "http://127.0.0.1:1")
    settings = Settings(_env_file=None, tries_per_attempt=1, progress_seconds=0.05, **told)
    with running(partial(worker.run_all, app, stop, executor(app, settings, stop).run), stop, hang):
        wait_until(lambda: heartbeats.is_well(beats), "it is well", LONG)
        function, named = hangs
        monkeypatch.setattr(function, hang)
        with app.app_context(), db.transaction() as connection:
            accept(connection)
        wait_until(lambda: named in heartbeats.trouble(beats), "it is named", LONG)


def test_the_loop_of_events_is_named_when_it_hangs(
    beats: Path, service_client: Client, fresh_database_url: str, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, stop = Hang(), ShutdownSignal()
    app = service_client("saga_choreography", database_url=fresh_database_url).application
    subscription = Subscription(choreography.outbox, lambda *_: [])
    told: dict[str, Any] = {"SAGA_CHOREOGRAPHY_DATABASE_URL": fresh_database_url, "rabbitmq_url": rabbitmq_url}
    jobs = event_worker.jobs(choreography.db, subscription, ChoreographySettings(_env_file=None, **told), stop)
    with running(partial(worker.run_all, app, stop, *jobs), stop, hang):
        wait_until(lambda: heartbeats.is_well(beats), "it is well", LONG)
        monkeypatch.setattr("shared.messaging.publisher.Publisher.relay", hang)
        with app.app_context(), choreography.db.transaction() as connection:
            notify(connection, subscription.outbox.channel)
        assert hung(beats).startswith("events ")


def test_a_worker_that_cannot_consume_is_never_well_and_says_why_until_it_can(
    beats: Path, service_client: Client, fresh_database_url: str, rabbitmq_url: str
) -> None:
    queues = Queues(rabbitmq_url)
    queues.tap("saga_choreography")  # declared with other arguments
    stop = ShutdownSignal()
    app = service_client("saga_choreography", database_url=fresh_database_url).application
    told: dict[str, Any] = {"SAGA_CHOREOGRAPHY_DATABASE_URL": fresh_database_url, "rabbitmq_url": rabbitmq_url}
    settings = ChoreographySettings(_env_file=None, **told)
    jobs = event_worker.jobs(choreography.db, Subscription(choreography.outbox, lambda *_: []), settings, stop)
    with running(partial(worker.run_all, app, stop, *jobs), stop, Hang()):
        wait_until(beats.exists, "it says how it is", LONG)
        assert heartbeats.trouble(beats)
        wait_until(lambda: "PRECONDITION_FAILED" in heartbeats.trouble(beats), "the cause is said", LONG)
        queues.delete("saga_choreography")
        wait_until(lambda: heartbeats.is_well(beats), "it consumes", LONG)


def test_a_chore_that_hangs_is_named(beats: Path, service_client: Client) -> None:
    hang, stop = Hang(), ShutdownSignal()
    app = service_client("pagos").application
    chore = partial(worker.run, stop, hang, lambda: LONG)
    with running(partial(worker.run_all, app, stop, chore), stop, hang):
        assert hung(beats).startswith("chores ")
