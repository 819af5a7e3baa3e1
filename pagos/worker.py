"""The process that reacts to events and publishes what follows; any number of them may run."""

import sys

from pagos.app import create_app
from pagos.config import Settings
from pagos.models import db
from pagos.reactions import PART
from shared import worker
from shared.event_worker import jobs
from shared.wakeup import Stop


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    if settings.rabbitmq_url is None:
        sys.exit("RABBITMQ_URL is not set: there are no events to react to")
    stop = Stop.on_signals()
    worker.run_all(create_app(settings), stop, *jobs(db, PART, settings, stop))


if __name__ == "__main__":
    main()
