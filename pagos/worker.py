"""The process that handles events, publishes pagos's own, and purges.

Any number of these processes may run. Without a broker they only purge.
"""

import sys

from pagos.app import create_app
from pagos.config import Settings
from pagos.event_handlers import SUBSCRIPTION
from pagos.models import audit_log, db, fault_store
from pagos.purges import PURGES
from shared.database.listen import ShutdownSignal
from shared.messaging.event_worker import jobs
from shared.process import worker
from shared.purging import purge


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    stop = ShutdownSignal.on_signals()
    chores = [*purge.jobs(db, PURGES, settings, stop), *jobs(db, SUBSCRIPTION, settings, stop, fault_store)]
    if not chores:
        sys.exit("RABBITMQ_URL is not set, and PURGE_SECONDS is 0: there is nothing to do")
    worker.run_all(create_app(settings), stop, audit_log.job(db, stop), *chores)


if __name__ == "__main__":
    main()
