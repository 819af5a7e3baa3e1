"""The process that runs sagas: an executor. Any number of them may run."""

from saga_orchestrator.app import create_app
from saga_orchestrator.config import Settings
from saga_orchestrator.executor import Executor
from shared.wakeup import Stop


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    # A connection for taking sagas, one for writing them and one for renewing leases.
    app = create_app(settings.model_copy(update={"web_threads": 3}))
    Executor(app, settings, Stop.on_signals()).run()


if __name__ == "__main__":
    main()
