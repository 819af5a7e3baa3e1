"""The process that returns expired holds to the shelves; any number of them may run."""

import signal
import threading

import structlog
from sqlalchemy.exc import DBAPIError

from inventario.app import create_app
from inventario.config import Settings
from inventario.models import db
from inventario.service import expire_holds, seconds_to_next_expiry

BATCH = 100  # holds in one transaction: enough to go together, few enough to let others through
LOCKED_SECONDS = 0.05  # what is over but locked is being decided by somebody else right now
RETRY_SECONDS = 1.0  # how soon to look again when the database was away
log = structlog.get_logger()


def run_once() -> int:
    """Return holds that are over; how many."""
    with db.transaction() as uow:
        return expire_holds(uow, BATCH)


def idle_seconds(hold_seconds: float) -> float:
    """How long there is nothing to do: until the first hold is over, and no hold to come is over sooner."""
    with db.transaction() as uow:
        seconds = seconds_to_next_expiry(uow)
    return hold_seconds if seconds is None else min(seconds, hold_seconds)


def run(stopping: threading.Event, settings: Settings) -> None:
    """Sweep until told to stop."""
    while not stopping.is_set():
        try:
            expired = run_once()
            wait = 0.0 if expired else max(LOCKED_SECONDS, idle_seconds(settings.hold_seconds))
            if expired:
                log.info("holds expired", count=expired)
        except DBAPIError as error:
            log.warning("database unavailable", error=str(error).splitlines()[0])
            wait = RETRY_SECONDS
        stopping.wait(wait)


def main() -> None:
    """Run with the settings of the environment until SIGTERM or SIGINT."""
    settings = Settings()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with create_app(settings).app_context():
        run(stopping, settings)


if __name__ == "__main__":
    main()
