"""Percentiles of measured values."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile of at least one value by the nearest-rank method: one of these values."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
