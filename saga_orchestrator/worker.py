"""The process that runs sagas, an executor, and purges those that ended long ago. Any number of them may run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from flask import Flask
from sqlalchemy import Connection

from saga_orchestrator.app import create_app
from saga_orchestrator.config import Settings
from saga_orchestrator.models import audit_log, db
from saga_orchestrator.orchestrator import VERSIONS
from saga_orchestrator.purges import PURGES
from saga_orchestrator.runtime.executor import Executor
from shared.database.listen import ShutdownSignal
from shared.process import worker
from shared.purging import purge


def executor(app: Flask, settings: Settings, stop: ShutdownSignal) -> Executor:
    """An executor of checkouts, on the app's pool of connections."""
    return Executor(partial(_transaction, app), VERSIONS, settings, stop)


@contextmanager
def _transaction(app: Flask) -> Iterator[Connection]:
    with app.app_context(), db.transaction() as connection:
        yield connection


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    # A connection for taking sagas, one for writing them, one for renewing leases, one for totals and one for purging.
    app = create_app(settings.model_copy(update={"web_threads": 5}))
    stop = ShutdownSignal.on_signals()
    chores = [audit_log.job(db, stop), *purge.jobs(db, PURGES, settings, stop)]
    worker.run_all(app, stop, executor(app, settings, stop).run, *chores)


if __name__ == "__main__":
    main()
