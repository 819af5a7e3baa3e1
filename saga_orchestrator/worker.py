"""The process that runs sagas, with an executor and, if an address is set, with Temporal; it also purges ended sagas.

Any number of these processes may run.
"""

from saga_orchestrator.app import create_app
from saga_orchestrator.config import Settings
from saga_orchestrator.execution import engines, executor
from saga_orchestrator.models import audit_log, db
from saga_orchestrator.purges import PURGES
from saga_orchestrator.runtime.settings import EXECUTOR_CONNECTIONS
from shared.database.listen import ShutdownSignal
from shared.process import worker
from shared.purging import purge


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    # Connections: those of the executor, as many for Temporal, one for audit totals and one for purging.
    connections = EXECUTOR_CONNECTIONS * (2 if settings.temporal_address else 1) + 2
    app = create_app(settings.model_copy(update={"web_threads": connections, "web_executor": False}))
    stop = ShutdownSignal.on_signals()
    chores = [audit_log.job(db, stop), *purge.jobs(db, PURGES, settings, stop)]
    worker.run_all(app, stop, executor(app, settings, stop).run, *engines(app, settings, stop), *chores)


if __name__ == "__main__":
    main()
