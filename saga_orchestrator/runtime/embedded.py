"""An executor inside a web process. It runs the sagas that the process accepts, under leases inserted with them."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Self

import structlog
from flask import current_app

from saga_orchestrator.runtime.executor import Executor, Intake
from shared import metrics
from shared.database.listen import ShutdownSignal
from shared.process import heartbeat

EXTENSION = "embedded_executor"
RESTART_SECONDS = 5.0  # after a defect ended the executor; until then others take over its sagas
log = structlog.get_logger()


class EmbeddedExecutor:
    """Runs an executor in a thread, from `start` until `stop`. Before and after that, this process leases nothing."""

    def __init__(self, make: Callable[[ShutdownSignal], Executor]) -> None:
        """`make` returns a new executor, which ends at the signal."""
        self._make = make
        self._executor: Executor | None = None
        self._thread: threading.Thread | None = None
        self._stop: ShutdownSignal | None = None

    @classmethod
    def current(cls) -> Self:
        """Return the current app's."""
        executor: Self = current_app.extensions[EXTENSION]
        return executor

    def start(self) -> None:
        """Start the thread; call it in the process that accepts sagas, after any fork."""
        self._stop = ShutdownSignal()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="executor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Lease nothing more; relinquish each saga after its present command. Returns at once, and takes no lock."""
        if self._stop is not None:
            self._stop.request()

    def join(self) -> None:
        """Wait until all sagas are relinquished; call it after `stop`."""
        if self._thread is not None:
            self._thread.join()

    def accepting(self, count: int) -> AbstractContextManager[Intake | None]:
        """Reserve capacity for `count` sagas while the block accepts them. None: accept them as due at once."""
        executor = self._executor
        return nullcontext() if executor is None else executor.accepting(count)

    def _run(self, stop: ShutdownSignal) -> None:
        with heartbeat.watched():
            while not stop.requested:
                try:
                    self._executor = self._make(stop)
                    self._executor.run()
                except Exception:
                    log.exception("the executor ended")
                    metrics.EXECUTOR_DEFECTS.inc()
                self._executor = None
                stop.wait(RESTART_SECONDS)
