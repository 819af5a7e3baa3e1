"""The loop that every worker has: do what is due, then sleep until something is, or until told to stop."""

import signal
import threading
from collections.abc import Callable

import structlog

from shared.db import is_unavailable
from shared.wakeup import Listener

RETRY_SECONDS = 1.0  # how soon to look again when the database was away
LOCKED_SECONDS = 0.05  # what is due but locked is being dealt with by somebody else right now
log = structlog.get_logger()


def stop_on_signals(wake: Callable[[], None] | None = None) -> threading.Event:
    """An event that SIGTERM and SIGINT set; `wake` makes the loop look at it."""
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        if wake is not None:
            wake()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def run(
    stopping: threading.Event,
    run_once: Callable[[], int],
    idle_seconds: Callable[[], float],
    listener: Listener | None = None,
) -> None:
    """Call `run_once` while it finds work; then wait for as long as `idle_seconds` says there is none, or a word."""
    while not stopping.is_set():
        try:
            if listener is not None:
                listener.open()
            if run_once():
                continue
            wait = max(LOCKED_SECONDS, idle_seconds())
            if listener is not None:
                listener.wait(wait)
            else:
                stopping.wait(wait)
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("database unavailable", error=str(error).splitlines()[0])
            stopping.wait(RETRY_SECONDS)
