"""The loop of every worker: do what is due, then wait until something is due or a shutdown is requested."""

import threading
from collections.abc import Callable
from contextlib import nullcontext

import structlog
from flask import Flask

from shared.database.connections import is_unavailable
from shared.database.listen import Listener, ShutdownSignal
from shared.process import collector, heartbeat
from shared.process.metrics_server import METRICS_SERVER

RETRY_SECONDS = 1.0  # between two tries while the database is unavailable
LOCKED_SECONDS = 0.05  # another process is handling what is due but locked
log = structlog.get_logger()


def run(
    stop: ShutdownSignal,
    run_once: Callable[[], int],
    idle_seconds: Callable[[], float],
    listener: Listener | None = None,
    *,
    name: str = "chores",
) -> None:
    """Call `run_once` while it finds work; then wait for `idle_seconds` or a notification. Ends at the shutdown signal.

    `name` is the loop's name in the heartbeat.
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
    """Run the jobs in parallel until the shutdown signal; when one fails, end all and raise its error.

    Serves the metrics of the process meanwhile, if the app's settings say where.
    """
    errors: list[Exception] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            with app.app_context():
                job()
        except Exception as error:
            errors.append(error)
        finally:
            stop.request()

    collector.make_rare()
    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    with app.extensions.get(METRICS_SERVER, nullcontext)(), heartbeat.watched(loops=len(jobs)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for error in errors:
        raise error
