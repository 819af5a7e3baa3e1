"""Takes sagas that are due and has each driven as far as it goes. Any number of executors work side by side."""

import os
import threading
import time

import structlog
from flask import Flask

from saga_orchestrator import store
from saga_orchestrator.config import Settings
from saga_orchestrator.driver import Driver
from saga_orchestrator.hand import Hand, Hands
from saga_orchestrator.keeper import Keeper
from saga_orchestrator.models import db
from saga_orchestrator.store import Claimed
from saga_orchestrator.writer import DATABASE_RETRY_SECONDS
from shared import faults
from shared.db import is_unavailable
from shared.ids import new_id
from shared.wakeup import Listener, Stop
from shared.worker import LOCKED_SECONDS

GATHER_SECONDS = 0.03  # between two claims, while there is other work: what comes meanwhile is taken together
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
        self._took_at = 0.0
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
        if not room:
            self._listener.wait(None, self._stop)
            return
        if len(self._hands):
            self._stop.wait(max(0.0, self._took_at + GATHER_SECONDS - time.monotonic()))
        claimed = self._take(room)
        if len(claimed.leases) < room:
            # What is due and was not taken is locked: somebody is about to move it.
            wait = None if claimed.next_in is None else max(LOCKED_SECONDS, claimed.next_in)
            self._listener.wait(wait, self._stop)

    def _take(self, limit: int) -> Claimed:
        owner = f"{os.getpid()}-{new_id().hex[-12:]}"
        self._took_at = time.monotonic()
        with self._app.app_context(), db.transaction() as uow:
            claimed = store.claim(uow, owner, limit, self._settings.lease_seconds)
            faults.reach("executor.before_write.claim")
        faults.reach("executor.after_write.claim")
        if claimed.leases:
            hands = [Hand(lease) for lease in claimed.leases]
            self._hands.take(hands)
            self._keeper.wake()
            self._driver.go_on(hands)
        return claimed
