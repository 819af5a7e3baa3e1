"""The process that runs sagas, an executor, and purges those that ended long ago. Any number of them may run."""

from saga_orchestrator.app import create_app
from saga_orchestrator.config import Settings
from saga_orchestrator.executor import Executor
from saga_orchestrator.models import db
from saga_orchestrator.purges import PURGES
from shared import purge, worker
from shared.wakeup import Stop


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    # A connection for taking sagas, one for writing them, one for renewing leases and one for purging.
    app = create_app(settings.model_copy(update={"web_threads": 4}))
    stop = Stop.on_signals()
    worker.run_all(app, stop, Executor(app, settings, stop).run, *purge.jobs(db, PURGES, settings, stop))


if __name__ == "__main__":
    main()
