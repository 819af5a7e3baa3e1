"""The most database connections of all processes are as docs/operations.md says."""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from flask import Flask

from saga_orchestrator.runtime.embedded import EXTENSION as EXECUTOR
from saga_orchestrator.runtime.settings import EXECUTOR_CONNECTIONS
from shared.config import ROOT
from shared.database.listen import Listener, ShutdownSignal
from shared.messaging.event_worker import EventWorker
from shared.process import worker
from shared.saga.setup import EXTENSION
from stack import postgres
from stack.processes import PROCESSES, Process

OPERATIONS = (ROOT / "docs/operations.md").read_text()
COMPOSE = (ROOT / "docker-compose.saga.yml").read_text()
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
BROKER = "amqp://nobody@127.0.0.1:1/"


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> list[Listener]:
    """Record the listeners that are made; each has a connection of its own."""
    made: list[Listener] = []
    make: Callable[..., None] = Listener.__init__

    def noting(listener: Listener, *arguments: Any) -> None:
        make(listener, *arguments)
        made.append(listener)

    monkeypatch.setattr(Listener, "__init__", noting)
    return made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Flask, list[Any]]]]:
    """Record the app of each started worker, and its jobs, each of which has a thread."""
    would_run: list[tuple[Flask, list[Any]]] = []
    monkeypatch.setattr(worker, "run_all", lambda app, _, *jobs: would_run.append((app, list(jobs))))
    stop = ShutdownSignal()
    monkeypatch.setattr(ShutdownSignal, "on_signals", lambda: stop)
    yield would_run
    for job in (job for _, jobs in would_run for job in jobs):
        events = getattr(job, "__self__", None)
        if isinstance(events, EventWorker):
            events._loop.close()


def settings_of(package: str) -> Any:
    url = {f"{package.upper()}_DATABASE_URL": NOWHERE}
    return import_module(f"{package}.config").Settings(_env_file=None, rabbitmq_url=BROKER, **url)


def pool_of(app: Flask) -> int:
    return int(app.config["SQLALCHEMY_ENGINE_OPTIONS"]["pool_size"])


def most_of(process: Process, monkeypatch: pytest.MonkeyPatch, listeners: list[Listener], started: list[Any]) -> int:
    """Return the most connections of such a process: of a worker, one for each job, and its listeners.

    An executor, also one in a web process, has threads of its own, a pool as large as it needs, and a listener.
    """
    listeners.clear()
    settings = settings_of(process.package)
    if not process.worker:
        app = import_module(f"{process.package}.app").create_app(settings)
        runs_sagas = EXECUTOR in app.extensions and settings.web_executor
        return pool_of(app) + len(listeners) + (EXECUTOR_CONNECTIONS + 1 if runs_sagas else 0)
    module = import_module(f"{process.package}.worker")
    monkeypatch.setattr(module, "Settings", lambda: settings)
    module.main()
    app, jobs = started[-1]
    unused = EXTENSION in app.extensions  # its listener serves waiting requests: no worker has any
    return (pool_of(app) if pool_of(app) < settings.web_threads else len(jobs)) + len(listeners) - unused


def test_all_connections_are_told_and_fit(
    monkeypatch: pytest.MonkeyPatch, listeners: list[Listener], started: list[Any]
) -> None:
    ours = [process for process in PROCESSES.values() if process.package]
    most = {process.name: most_of(process, monkeypatch, listeners, started) for process in ours}
    workers = {most[process.name] for process in ours if process.worker}
    web, saga_web, with_executor = sorted({most[process.name] for process in ours if not process.worker})
    total = sum(most[process.name] * process.copies for process in ours)
    allowed = re.search(r"max_connections=(\d+)", COMPOSE)
    assert allowed is not None
    said = " ".join(OPERATIONS.split())
    assert f"PostgreSQL is set to {allowed[1]} connections. All of it as it stands takes {total} at most" in said
    assert f"a web process up to {web} (`WEB_THREADS`), {saga_web} if it is one of the saga services" in said
    assert f"{with_executor} for the orchestrator's with its executor" in said
    assert f"a worker {min(workers)} to {max(workers)}" in said
    assert total < int(postgres.OPTIONS["max_connections"])
    assert total * 2 < int(allowed[1])  # so that twice as many processes may run
