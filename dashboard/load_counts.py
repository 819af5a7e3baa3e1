"""What became of the checkouts of a load: counts, and how long their acceptance took. No I/O."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shared.percentile import percentile

MEASURED = 500  # acceptances of each style in a percentile, the latest ones: ten seconds at the highest rate
REASON_LENGTH = 200
Outcome = Literal["accepted", "refused", "failed"]


@dataclass(frozen=True)
class StyleCounts:
    """The counts of one style; percentiles are in milliseconds, None when nothing was accepted yet."""

    sent: int
    accepted: int
    refused: int
    failed: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Counts:
    """The counts of a load. `held_back` were due while the allowed number was in flight, and were never sent."""

    styles: Mapping[str, StyleCounts]
    held_back: int
    in_flight: int
    trouble: str  # the latest reason why one was not accepted; empty when all were


class Counting:
    """Counts the checkouts of a load. Safe to use from many threads."""

    def __init__(self, styles: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._styles = styles
        self._counts = Counter[tuple[str, str]]()
        self._took = {style: deque[float](maxlen=MEASURED) for style in styles}
        self._held_back = 0
        self._trouble = ""

    def sent(self, style: str) -> None:
        """Count one that is sent."""
        with self._lock:
            self._counts[style, "sent"] += 1

    def held_back(self) -> None:
        """Count one that was due and is not sent."""
        with self._lock:
            self._held_back += 1

    def ended(self, style: str, outcome: Outcome, milliseconds: float, reason: str = "") -> None:
        """Count the outcome of one that was sent; the time is recorded if it was accepted."""
        with self._lock:
            self._counts[style, outcome] += 1
            if outcome == "accepted":
                self._took[style].append(milliseconds)
            else:
                self._trouble = reason[:REASON_LENGTH]

    def now(self) -> Counts:
        """Return the present counts."""
        with self._lock:
            styles = {style: self._style(style) for style in self._styles}
            flying = sum(each.sent - each.accepted - each.refused - each.failed for each in styles.values())
            return Counts(styles, self._held_back, flying, self._trouble)

    def _style(self, style: str) -> StyleCounts:
        took = list(self._took[style])
        p50, p95 = (percentile(took, percent) if took else None for percent in (50, 95))
        sent, accepted, refused, failed = (
            self._counts[style, name] for name in ("sent", "accepted", "refused", "failed")
        )
        return StyleCounts(sent, accepted, refused, failed, p50, p95)
