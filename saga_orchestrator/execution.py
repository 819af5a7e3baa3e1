"""Executors of checkouts: of a worker process, and the one in each web process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from flask import Flask
from sqlalchemy import Connection

from saga_orchestrator.config import Settings
from saga_orchestrator.models import db
from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.runtime.embedded import EXTENSION, EmbeddedExecutor
from saga_orchestrator.runtime.executor import Executor, nobody_waits
from shared.database.listen import ShutdownSignal
from shared.http.service_app import ServiceApp


def executor(
    app: Flask, settings: Settings, stop: ShutdownSignal, ended: Callable[[Sequence[str]], None] = nobody_waits
) -> Executor:
    """An executor of checkouts, on the app's pool of connections; `ended` hears of those that end here."""
    return Executor(partial(_transaction, app), VERSIONS, settings, stop, ended)


def engines(app: Flask, settings: Settings, stop: ShutdownSignal) -> list[Callable[[], None]]:
    """What runs sagas beside the executor: Temporal, where the settings name one."""
    if not settings.temporal_address:
        return []
    from saga_orchestrator.temporal.worker import TemporalEngine  # noqa: PLC0415  (the extra may be missing)

    return [TemporalEngine(partial(_transaction, app), VERSIONS, settings, stop).run]


def add_executor(app: ServiceApp, settings: Settings, ended: Callable[[Sequence[str]], None]) -> None:
    """Have a web process run the checkouts that it accepts, if the settings say so."""
    embedded = EmbeddedExecutor(lambda stop: executor(app, settings, stop, ended))
    app.extensions[EXTENSION] = embedded
    if settings.web_executor:
        app.extensions["on_start"] = [embedded.start]
        app.extensions["on_stop"] = [embedded.stop]
        app.extensions["on_exit"] = [embedded.join]


@contextmanager
def _transaction(app: Flask) -> Iterator[Connection]:
    with app.app_context(), db.transaction() as connection:
        yield connection
