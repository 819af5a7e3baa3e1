"""Reads the statistics of both styles every few seconds while somebody looks; keeps the last minutes in memory."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from flask import current_app

from dashboard.sparks import SAMPLE_SECONDS, SECONDS, Sample

Stats = Mapping[str, Mapping[str, Any] | None]  # by style; None for a service that did not answer

UNWATCHED_SECONDS = 60.0  # since the last request for the page; browsers let a hidden page send one as rarely as this
RECENT_SECONDS = 10  # the period of a reading's statistics: short, so that changes show at once
KEPT = int(SECONDS / SAMPLE_SECONDS) + 1
log = structlog.get_logger()


class Trends:
    """The readings of the last minutes, made by one thread for all viewers. Thread-safe."""

    def __init__(self, read: Callable[[], Stats], sample_seconds: float = SAMPLE_SECONDS) -> None:
        self._read = read
        self._sample_seconds = sample_seconds
        self._lock = threading.Lock()
        self._samples = deque[Sample](maxlen=KEPT)
        self._seen = 0.0
        self._reads = False  # whether the reader runs
        self._stopped = threading.Event()

    def watched(self) -> Sequence[Sample]:
        """Return the readings; the thread goes on while this is called."""
        with self._lock:
            self._seen = time.monotonic()
            if not self._reads:
                threading.Thread(target=self._follow, name="trends", daemon=True).start()
                self._reads = True  # unless the start raised: then the next call tries again
            return list(self._samples)

    def stop(self) -> None:
        """Stop reading for good."""
        self._stopped.set()

    @property
    def is_reading(self) -> bool:
        """Whether somebody looked lately."""
        return self._reads

    def _follow(self) -> None:
        while self._is_watched():
            began = time.monotonic()
            try:
                sample = Sample(began, self._read())
                with self._lock:
                    self._samples.append(sample)
            except Exception:
                log.exception("the trends were not read")
            self._stopped.wait(max(0.0, began + self._sample_seconds - time.monotonic()))

    def _is_watched(self) -> bool:
        """Whether to read on; decided and stored under one lock: the next viewer finds a thread or starts one."""
        with self._lock:
            self._reads = not self._stopped.is_set() and time.monotonic() - self._seen < UNWATCHED_SECONDS
            return self._reads


def trends() -> Trends:
    """Return the current app's readings."""
    return current_app.extensions["trends"]  # type: ignore[no-any-return]
