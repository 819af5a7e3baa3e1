"""Takes sagas that are due and has each driven as far as it goes. Any number of executors work side by side."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import structlog
from flask import Flask

from saga_orchestrator import store
from saga_orchestrator.config import Settings
from saga_orchestrator.domain import LeaseLost
from saga_orchestrator.driver import DATABASE_RETRY_SECONDS, Driver
from saga_orchestrator.hand import Hand
from saga_orchestrator.keeper import Keeper
from saga_orchestrator.models import db
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
        self._hands: set[Hand] = set()
        self._keeper = Keeper(app, settings, self._hands, self._stopping, self._listener.wake)
        self._driver = Driver(settings, self._stopping)

    def run(self) -> None:
        """Work until told to stop. Ends with an error of its own making, too: whoever started it starts another."""
        self._keeper.start()
        try:
            with ThreadPoolExecutor(self._settings.executor_threads, "saga") as pool:
                self._take_until_stopped(pool)
        finally:
            self._stopping.set()
            self._keeper.join()
            self._listener.close()

    def _take_until_stopped(self, pool: ThreadPoolExecutor) -> None:
        try:
            while not self._stop.requested and self._keeper.is_alive():
                try:
                    self._listener.open()
                    self._take_and_wait(pool)
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    log.warning("database unavailable", error=str(error).splitlines()[0])
                    self._stop.wait(DATABASE_RETRY_SECONDS)
        finally:
            self._stopping.set()  # before the pool waits for its threads

    def _take_and_wait(self, pool: ThreadPoolExecutor) -> None:
        free = self._settings.executor_threads - len(self._hands)
        taken = self._take(pool, free) if free else 0
        if taken == free:
            self._listener.wait(None, self._stop)  # until a hand is free
            return
        with self._app.app_context(), db.transaction() as uow:
            seconds = store.seconds_to_next(uow)
        # What is due and was not taken is locked: somebody is about to move it.
        self._listener.wait(None if seconds is None else max(LOCKED_SECONDS, seconds), self._stop)

    def _take(self, pool: ThreadPoolExecutor, limit: int) -> int:
        owner = f"{os.getpid()}-{new_id().hex[-12:]}"
        with self._app.app_context(), db.transaction() as uow:
            leases = store.claim(uow, owner, limit, self._settings.lease_seconds)
            faults.reach("executor.before_write.claim")
        faults.reach("executor.after_write.claim")
        for lease in leases:
            hand = Hand(lease)
            self._hands.add(hand)
            self._keeper.wake()
            pool.submit(self._drive, hand)
        return len(leases)

    def _drive(self, hand: Hand) -> None:
        saga_id = str(hand.lease.checkout.saga_id)
        with self._app.app_context(), structlog.contextvars.bound_contextvars(saga_id=saga_id):
            try:
                self._driver.drive(hand)
            except LeaseLost as error:
                log.info("lease lost", detail=str(error))
            except Exception:
                log.exception("saga left to its lease")  # it becomes due again when the lease is over
            finally:
                self._hands.discard(hand)
                self._listener.wake()
