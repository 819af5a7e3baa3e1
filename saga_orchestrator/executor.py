"""Takes sagas that are due and has each driven as far as it goes. Any number of executors work side by side."""

import os
import threading

import structlog
from flask import Flask

from saga_orchestrator import store
from saga_orchestrator.config import Settings
from saga_orchestrator.driver import Driver
from saga_orchestrator.hand import Hand, Hands
from saga_orchestrator.keeper import Keeper
from saga_orchestrator.models import db
from saga_orchestrator.writer import DATABASE_RETRY_SECONDS
from shared import faults
from shared.db import is_unavailable
from shared.ids import new_id
from shared.wakeup import Listener, Stop
from shared.worker import LOCKED_SECONDS

log = structlog.get_logger()


class Executor:
    """One process's share of the sagas."""

    def __init__(self, app: Flask, settings: Settings, stop: Stop) -> None:
        """`stop` is asked for from outside: take nothing new, and hand back what is in hand after its present call."""
        self._app = app
        self._settings = settings
        self._stop = stop
        self._stopping = threading.Event()  # the same for our threads, which a signal handler must not set itself
        self._listener = Listener(settings.database_url, store.DUE)
        self._hands = Hands(settings.executor_sagas, self._listener.wake)
        self._driver = Driver(app, settings, self._hands, self._stopping)
        self._keeper = Keeper(settings, self._driver.writer, self._hands, self._stopping, self._listener.wake)

    def run(self) -> None:
        """Work until told to stop. Ends with an error of its own making, too: whoever started it starts another."""
        self._driver.start()
        self._keeper.start()
        try:
            self._take_until_stopped()
        finally:
            self._stopping.set()
            self._hands.wait_until_empty()
            self._driver.close()
            self._keeper.join()
            self._listener.close()

    def _take_until_stopped(self) -> None:
        while not self._stop.requested and self._keeper.is_alive():
            try:
                self._listener.open()
                self._take_and_wait()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("database unavailable", error=str(error).splitlines()[0])
                self._stop.wait(DATABASE_RETRY_SECONDS)

    def _take_and_wait(self) -> None:
        room = self._hands.room()
        taken = self._take(room) if room else 0
        if taken == room:
            self._listener.wait(None, self._stop)  # until there is room
        elif taken:
            self._listener.wait(LOCKED_SECONDS, self._stop)  # where some were due, there may soon be others
        else:
            with self._app.app_context(), db.transaction() as uow:
                seconds = store.seconds_to_next(uow)
            # What is due and was not taken is locked: somebody is about to move it.
            self._listener.wait(None if seconds is None else max(LOCKED_SECONDS, seconds), self._stop)

    def _take(self, limit: int) -> int:
        owner = f"{os.getpid()}-{new_id().hex[-12:]}"
        with self._app.app_context(), db.transaction() as uow:
            leases = store.claim(uow, owner, limit, self._settings.lease_seconds)
            faults.reach("executor.before_write.claim")
        faults.reach("executor.after_write.claim")
        hands = [Hand(lease) for lease in leases]
        self._hands.take(hands)
        self._keeper.wake()
        self._driver.go_on(hands)
        return len(hands)
