"""Makes the executors of checkouts: of a worker process, and of a web process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from flask import Flask
from sqlalchemy import Connection

from saga_orchestrator.config import Settings
from saga_orchestrator.models import db
from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime.embedded import EXTENSION, EmbeddedExecutor
from saga_orchestrator.runtime.executor import Executor, ignore_ended
from saga_orchestrator.runtime.settings import EXECUTOR_CONNECTIONS
from shared.database.listen import ShutdownSignal
from shared.http.service_app import ServiceApp


def executor(
    app: Flask, settings: Settings, stop: ShutdownSignal, ended: Callable[[Sequence[str]], None] = ignore_ended
) -> Executor:
    """Return an executor that uses the app's pool of connections; `ended` is called with the sagas that end in it."""
    return Executor(partial(_transaction, app), VERSIONS, settings, stop, ended)


def engines(app: Flask, settings: Settings, stop: ShutdownSignal) -> list[Callable[[], None]]:
    """Return the jobs that run sagas beside the executor: Temporal's, if the settings name a server."""
    if not settings.temporal_address:
        return []
    from saga_orchestrator.temporal.worker import TemporalEngine  # noqa: PLC0415  (the extra may be missing)

    return [TemporalEngine(partial(_transaction, app), VERSIONS, settings, stop).run]


def add_executor(app: ServiceApp, settings: Settings, ended: Callable[[Sequence[str]], None]) -> None:
    """Make a web process run the checkouts that it accepts, if the settings say so.

    Its executor has connections of its own, so that many requests at once do not delay checkpoints and lease renewals.
    """
    own = Flask(f"{app.name}.executor")
    embedded = EmbeddedExecutor(lambda stop: executor(own, settings, stop, ended))
    app.extensions[EXTENSION] = embedded
    if settings.web_executor:
        db.attach(own, settings.model_copy(update={"web_threads": EXECUTOR_CONNECTIONS}))
        app.extensions["pools"].add("executor", own)
        for hook, function in (("on_start", embedded.start), ("on_stop", embedded.stop), ("on_exit", embedded.join)):
            app.extensions.setdefault(hook, []).append(function)


@contextmanager
def _transaction(app: Flask) -> Iterator[Connection]:
    with app.app_context(), db.transaction() as connection:
        yield connection
