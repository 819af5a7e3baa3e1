"""Renews the leases of sagas that take long, and writes what people see of them: all in one lazy transaction."""

import threading
import time
from collections.abc import Callable

import structlog
from flask import Flask

from saga_orchestrator import store
from saga_orchestrator.config import Settings
from saga_orchestrator.hand import Hand
from saga_orchestrator.models import db
from shared import faults
from shared.db import is_unavailable

log = structlog.get_logger()


class Keeper(threading.Thread):
    """Sleeps while nothing is in hand. Its end is the executor's: without its leases renewed it would be in the way."""

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        hands: set[Hand],
        stopping: threading.Event,
        ended: Callable[[], None],
    ) -> None:
        """`ended` is called at the end, be it of an error."""
        super().__init__(name="leases", daemon=True)
        self._ended = ended
        self._app = app
        self._settings = settings
        self._hands = hands
        self._stopping = stopping
        self._any_hands = threading.Event()

    def wake(self) -> None:
        """Something is in hand."""
        self._any_hands.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, which `stopping` asks for."""
        self.wake()
        super().join(timeout)

    def run(self) -> None:
        """Write whenever something in hand is older than people should see."""
        try:
            self._keep()
        finally:
            self._ended()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._any_hands.wait()
            self._stopping.wait(self._settings.progress_seconds)
            if not self._hands:
                self._any_hands.clear()
                if self._hands or self._stopping.is_set():  # since the line before the last
                    self._any_hands.set()
            try:
                self._write_progress()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("leases not renewed", error=str(error).splitlines()[0])  # they last for several rounds

    def _write_progress(self) -> None:
        oldest = time.monotonic() - self._settings.progress_seconds
        hands = [hand for hand in tuple(self._hands) if hand.wants_write(oldest, self._settings.lease_seconds / 3)]
        held = [hand for hand in hands if hand.lock.acquire(blocking=False)]  # others are being written just now
        try:
            if held:
                self._write(held)
        finally:
            for hand in held:
                hand.lock.release()

    def _write(self, held: list[Hand]) -> None:
        with self._app.app_context(), db.transaction() as uow:
            lost = store.progress(uow, [hand.lease for hand in held], self._settings.lease_seconds)
            faults.reach("executor.before_write.progress")
        faults.reach("executor.after_write.progress")
        for hand in held:
            hand.written()
            if any(lease is hand.lease for lease in lost):
                hand.lose()
