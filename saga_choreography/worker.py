"""The process that records events, publishes its own, and runs the watchdog.

Any number of them may run. Without a broker it only runs the watchdog.
"""

from functools import partial

from saga_choreography import watchdog
from saga_choreography.app import create_app
from saga_choreography.config import Settings
from saga_choreography.models import audit_log, db, outbox
from saga_choreography.purges import PURGES
from saga_choreography.recording import OUTCOMES, ends_a_saga, record
from shared import metrics
from shared.batching.policy import BatchPolicy
from shared.database.listen import ShutdownSignal
from shared.messaging.event_worker import jobs
from shared.messaging.subscription import Subscription, all_together
from shared.process import worker
from shared.purging import purge

# People take what happens within a tenth of a second as immediate. Each batch writes the rows of all of its sagas, so
# fewer and larger ones cost less: 500 messages come within that time when a hundred sagas run.
BATCHES = BatchPolicy(max_size=500, max_wait=0.1)


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    stop = ShutdownSignal.on_signals()
    limits = settings.limits
    metrics.show_attempts(OUTCOMES.values())
    subscription = Subscription(outbox, partial(record, limits=limits), all_together, ends_a_saga, BATCHES)
    watch = partial(worker.run, stop, partial(watchdog.run_once, limits), partial(watchdog.idle_seconds, limits))
    purges = purge.jobs(db, PURGES, settings, stop)
    totals = audit_log.job(db, stop)
    worker.run_all(create_app(settings), stop, watch, totals, *purges, *jobs(db, subscription, settings, stop))


if __name__ == "__main__":
    main()
