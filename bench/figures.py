"""Computes figures per saga from the measurements of a round, and their medians over the rounds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from stack.meters import Written

ALL = "all"  # components together


@dataclass(frozen=True)
class Figures:
    """The figures of one pattern under one load. Times are in ms, CPU by component (`all`: the sum), both per saga."""

    sagas_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: Mapping[str, float]
    writing_transactions: float
    wal_kilobytes: float


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile by the nearest-rank method."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def figures_of(seconds: float, latencies: Sequence[float], cpu: Mapping[str, float], written: Written) -> Figures:
    """Return the figures of one round, in which every saga has a latency. Seconds in, milliseconds out."""
    sagas = len(latencies)
    cpu_ms = {component: used * 1000 / sagas for component, used in cpu.items()}
    return Figures(
        sagas_per_second=sagas / seconds,
        p50_ms=percentile(latencies, 50) * 1000,
        p95_ms=percentile(latencies, 95) * 1000,
        p99_ms=percentile(latencies, 99) * 1000,
        cpu_ms={ALL: sum(cpu_ms.values()), **cpu_ms},
        writing_transactions=written.transactions / sagas,
        wal_kilobytes=written.wal_bytes / 1000 / sagas,
    )


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU time that each component used in between."""
    return {component: after[component] - seconds for component, seconds in before.items()}


def medians(rounds: Iterable[Figures]) -> Figures:
    """Return the median of each figure over the rounds."""
    rounds = list(rounds)

    def of(name: str) -> float:
        return median(float(getattr(figures, name)) for figures in rounds)

    cpu_ms = {component: median(each.cpu_ms[component] for each in rounds) for component in rounds[0].cpu_ms}
    return Figures(
        sagas_per_second=of("sagas_per_second"),
        p50_ms=of("p50_ms"),
        p95_ms=of("p95_ms"),
        p99_ms=of("p99_ms"),
        cpu_ms=cpu_ms,
        writing_transactions=of("writing_transactions"),
        wal_kilobytes=of("wal_kilobytes"),
    )
