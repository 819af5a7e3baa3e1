"""The process that runs sagas, an executor, and purges those that ended long ago. Any number of them may run."""

from saga_orchestrator.app import create_app
from saga_orchestrator.config import Settings
from saga_orchestrator.execution import executor
from saga_orchestrator.models import audit_log, db
from saga_orchestrator.purges import PURGES
from saga_orchestrator.runtime.settings import EXECUTOR_CONNECTIONS
from shared.database.listen import ShutdownSignal
from shared.process import worker
from shared.purging import purge


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    # Connections of the executor, one for totals and one for purging.
    app = create_app(settings.model_copy(update={"web_threads": EXECUTOR_CONNECTIONS + 2, "web_executor": False}))
    stop = ShutdownSignal.on_signals()
    chores = [audit_log.job(db, stop), *purge.jobs(db, PURGES, settings, stop)]
    worker.run_all(app, stop, executor(app, settings, stop).run, *chores)


if __name__ == "__main__":
    main()
