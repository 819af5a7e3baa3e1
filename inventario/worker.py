"""The process that handles events, publishes inventario's own, and expires holds.

Any number of these processes may run. Without a broker they only expire holds.
"""

from functools import partial

import structlog

from inventario.app import create_app
from inventario.config import Settings
from inventario.event_handlers import SUBSCRIPTION
from inventario.models import audit_log, db, fault_store
from inventario.purges import PURGES
from inventario.service import expire_holds, seconds_to_next_expiry
from shared.database.listen import ShutdownSignal
from shared.messaging.event_worker import jobs
from shared.process import worker
from shared.purging import purge

BATCH = 100  # holds in one transaction: enough to share a commit, few enough not to block sagas for long
log = structlog.get_logger()


def run_once() -> int:
    """Expire holds whose time is over; return how many."""
    with db.transaction() as connection:
        expired = expire_holds(connection, BATCH)
    if expired:
        log.info("holds expired", count=expired)
    return expired


def idle_seconds(hold_seconds: float) -> float:
    """Return the seconds until the next hold may expire."""
    with db.transaction() as connection:
        seconds = seconds_to_next_expiry(connection)
    return hold_seconds if seconds is None else min(seconds, hold_seconds)


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    stop = ShutdownSignal.on_signals()
    chore = partial(worker.run, stop, run_once, lambda: idle_seconds(settings.hold_seconds))
    purges = purge.jobs(db, PURGES, settings, stop)
    totals = audit_log.job(db, stop)
    worker.run_all(
        create_app(settings), stop, chore, totals, *purges, *jobs(db, SUBSCRIPTION, settings, stop, fault_store)
    )


if __name__ == "__main__":
    main()
