"""Computes figures per saga from the measurements of a round, and their medians over the rounds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.counts import Counts
from shared.percentile import percentile

ALL = "all"  # components together


@dataclass(frozen=True)
class Figures:
    """The figures of one style under one load. Times are in ms, CPU by component (`all`: the sum), both per saga."""

    sagas_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: Mapping[str, float]
    http_requests: float
    writing_transactions: float
    wal_kilobytes: float
    statements: float | None


def figures_of(seconds: float, latencies: Sequence[float], cpu: Mapping[str, float], counts: Counts) -> Figures:
    """Return the figures of one round, in which every saga has a latency. Seconds in, milliseconds out."""
    sagas = len(latencies)
    cpu_ms = {component: used * 1000 / sagas for component, used in cpu.items()}
    return Figures(
        sagas_per_second=sagas / seconds,
        p50_ms=percentile(latencies, 50) * 1000,
        p95_ms=percentile(latencies, 95) * 1000,
        p99_ms=percentile(latencies, 99) * 1000,
        cpu_ms={ALL: sum(cpu_ms.values()), **cpu_ms},
        http_requests=counts.http_requests / sagas,
        writing_transactions=counts.writing_transactions / sagas,
        wal_kilobytes=counts.wal_bytes / 1000 / sagas,
        statements=None if counts.statements is None else counts.statements / sagas,
    )


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU time that each component used in between.

    The time of a component that ended in between is its parent's afterwards, so it counts as negative here: the sum of
    all is right.
    """
    return {name: after.get(name, 0.0) - before.get(name, 0.0) for name in {**before, **after}}


def medians(rounds: Iterable[Figures]) -> Figures:
    """Return the median of each figure over the rounds; of CPU, for each component, 0 in rounds that lack it."""
    rounds = list(rounds)

    def of(name: str) -> float:
        return median(float(getattr(figures, name)) for figures in rounds)

    components = dict.fromkeys(component for figures in rounds for component in figures.cpu_ms)
    return Figures(
        sagas_per_second=of("sagas_per_second"),
        p50_ms=of("p50_ms"),
        p95_ms=of("p95_ms"),
        p99_ms=of("p99_ms"),
        cpu_ms={name: median(each.cpu_ms.get(name, 0.0) for each in rounds) for name in components},
        http_requests=of("http_requests"),
        writing_transactions=of("writing_transactions"),
        wal_kilobytes=of("wal_kilobytes"),
        statements=None if rounds[0].statements is None else of("statements"),
    )
