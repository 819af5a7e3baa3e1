"""The loop that every worker has: do what is due, then sleep until something is, or until told to stop."""

import threading
from collections.abc import Callable

import structlog
from flask import Flask

from shared.database.connections import is_unavailable
from shared.database.listen import Listener, ShutdownSignal
from shared.process import heartbeat

RETRY_SECONDS = 1.0  # how soon to look again when the database was away
LOCKED_SECONDS = 0.05  # what is due but locked is being dealt with by somebody else right now
log = structlog.get_logger()


def run(
    stop: ShutdownSignal,
    run_once: Callable[[], int],
    idle_seconds: Callable[[], float],
    listener: Listener | None = None,
    *,
    name: str = "chores",
) -> None:
    """Call `run_once` while it finds work; then wait for as long as `idle_seconds` says there is none, or a word.

    `name` is what the loop is called if it hangs.
    """
    with heartbeat.loop(name):
        while not stop.requested:
            heartbeat.beat()
            try:
                if listener is not None:
                    listener.open()
                if run_once():
                    continue
                wait = max(LOCKED_SECONDS, idle_seconds())
                if listener is not None:
                    listener.wait(wait, stop)
                else:
                    stop.wait(wait)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("database unavailable", error=str(error).splitlines()[0])
                stop.wait(RETRY_SECONDS)


def run_all(app: Flask, stop: ShutdownSignal, *jobs: Callable[[], None]) -> None:
    """Run these side by side until told to stop; should one fail, all end, and the error is raised."""
    errors: list[Exception] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            with app.app_context():
                job()
        except Exception as error:
            errors.append(error)
        finally:
            stop.request()

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    with heartbeat.watched(loops=len(jobs)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in errors:
        raise error
