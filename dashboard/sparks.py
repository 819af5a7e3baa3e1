"""The last minutes of a style as sparklines: rate, time to completion, time of disagreement. No markup, no I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dashboard.words import UNKNOWN, duration

Json = Mapping[str, Any]
Points = Sequence[tuple[float, float]]  # moments and values

SECONDS = 300  # drawn period
SAMPLE_SECONDS = 2.0  # between two readings: as often as the page reloads
GAP_SECONDS = 3 * SAMPLE_SECONDS  # a longer time without a reading is a gap: nobody looked, or the service was away
WIDTH, HEIGHT, MARGIN = 300, 36, 2  # of a drawing, which is stretched to its place, except the width of lines


@dataclass(frozen=True)
class Sample:
    """The statistics of both services at a moment, in seconds of any clock; None for one that did not answer."""

    at: float
    stats: Mapping[str, Json | None]  # by style


@dataclass(frozen=True)
class Curve:
    """One line, in pieces between gaps; each is the points of an SVG polyline."""

    name: str
    pieces: list[str]


@dataclass(frozen=True)
class Spark:
    """Curves on one scale from zero to `most` (a text), and their last values as a text alternative."""

    name: str
    curves: list[Curve]
    most: str
    words: str


def sparks(samples: Sequence[Sample], style: str, now: float) -> list[Spark]:
    """Return the curves of a style, from the readings of the last `SECONDS`."""
    told = [(sample.at, sample.stats.get(style)) for sample in samples if sample.at >= now - SECONDS]
    return [
        _spark("Ended per second", {"": _points(told, "per_second")}, now, lambda value: f"{value:.1f}"),
        _spark("Took", _both(told, "latency_ms"), now, duration),
        _spark("Books open", _both(told, "books_open_ms"), now, duration),
    ]


def _both(told: Sequence[tuple[float, Json | None]], name: str) -> dict[str, Points]:
    return {percentile: _points(told, name, percentile) for percentile in ("p50", "p95")}


def _spark(name: str, series: Mapping[str, Points], now: float, show: Callable[[float], str]) -> Spark:
    most = max((value for points in series.values() for _, value in points), default=None)
    curves = [Curve(curve, _pieces(points, most or 1.0, now)) for curve, points in series.items()]
    last = [f"{curve} {show(points[-1][1])}".strip() for curve, points in series.items() if points]
    return Spark(name, curves, UNKNOWN if most is None else show(most), _words(last, series.values(), now))


def _words(last: Sequence[str], series: Iterable[Points], now: float) -> str:
    """Describe the last values, with their age if they are not of the latest reading."""
    ages = [now - points[-1][0] for points in series if points]
    if not last or not ages:
        return "nothing yet"
    values, age = ", ".join(last), min(ages)
    return f"now {values}" if age <= GAP_SECONDS else f"{duration(age * 1000)} ago {values}"


def _points(told: Sequence[tuple[float, Json | None]], *path: str) -> Points:
    found = []
    for at, stats in told:
        value: Any = stats
        for name in path:
            value = None if value is None else value[name]
        if value is not None:
            found.append((at, float(value)))
    return found


def _pieces(points: Points, most: float, now: float) -> list[str]:
    """Split the points at gaps."""
    pieces: list[list[str]] = [[]]
    for point, after in pairwise([*points, None]):
        if point is not None:
            pieces[-1].append(_place(*point, most, now))
            if after is not None and after[0] - point[0] > GAP_SECONDS:
                pieces.append([])
    return [" ".join(piece if len(piece) > 1 else piece * 2) for piece in pieces if piece]


def _place(at: float, value: float, most: float, now: float) -> str:
    x = WIDTH * (1 - (now - at) / SECONDS)
    y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value / most
    return f"{x:.1f},{y:.1f}"
