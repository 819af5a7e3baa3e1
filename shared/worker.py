"""The loop that every worker has: do what is due, then sleep until something is, or until told to stop."""

import signal
import threading
from collections.abc import Callable

import structlog

from shared.db import is_unavailable

RETRY_SECONDS = 1.0  # how soon to look again when the database was away
LOCKED_SECONDS = 0.05  # what is due but locked is being dealt with by somebody else right now
log = structlog.get_logger()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def run(stopping: threading.Event, run_once: Callable[[], int], idle_seconds: Callable[[], float]) -> None:
    """Call `run_once` while it finds work; then wait for as long as `idle_seconds` says there is none."""
    while not stopping.is_set():
        try:
            wait = 0.0 if run_once() else max(LOCKED_SECONDS, idle_seconds())
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("database unavailable", error=str(error).splitlines()[0])
            wait = RETRY_SECONDS
        stopping.wait(wait)
