"""Computes figures of each round, and their medians over the rounds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.compare.results import Course, Round
from shared.percentile import percentile


@dataclass(frozen=True)
class Figures:
    """The figures of one style in one scenario. Times in ms, CPU in ms per saga; None where nothing was measured."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float | None
    books_p50_ms: float | None
    books_p95_ms: float | None
    undoing_p50_ms: float | None
    completed: int
    compensated: int


@dataclass(frozen=True)
class OutageFigures:
    """The figures of one style with an outage. Times in seconds.

    `ended_meanwhile` is the share of the checkouts open during the outage that ended in it, `waiting` the largest
    number of open checkouts at one time, `caught_up` the time from the end of the outage until all that arrived before
    had ended, `slowest` the longest latency, `turned_away` the number of requests that were answered "not now".
    """

    down_for: float
    ended_meanwhile: float
    waiting: int
    caught_up: float
    slowest: float
    books_p95: float
    turned_away: int
    compensated: int


def figures_of(rounds: Sequence[Round]) -> Figures:
    """Return the medians over these rounds; counts are sums."""
    books = [each.ends.books_open for each in rounds]
    return Figures(
        per_second=median(len(each.latencies) / each.seconds for each in rounds),
        p50_ms=median(percentile(each.latencies, 50) for each in rounds) * 1000,
        p95_ms=median(percentile(each.latencies, 95) for each in rounds) * 1000,
        p99_ms=median(percentile(each.latencies, 99) for each in rounds) * 1000,
        cpu_ms=_median(sum(each.cpu.values()) * 1000 / len(each.latencies) for each in rounds if each.cpu),
        books_p50_ms=_percentile_ms(books, 50),
        books_p95_ms=_percentile_ms(books, 95),
        undoing_p50_ms=_percentile_ms([each.ends.undoing for each in rounds], 50),
        completed=sum(each.ends.completed for each in rounds),
        compensated=sum(each.ends.compensated for each in rounds),
    )


def outage_figures_of(rounds: Sequence[Round]) -> OutageFigures:
    """Return the medians over these rounds, which had an outage; counts of what went wrong are sums."""
    courses = [each.course for each in rounds if each.course is not None]
    return OutageFigures(
        down_for=median(each.up - each.down for each in courses),
        ended_meanwhile=median(map(_ended_meanwhile, courses)),
        waiting=round(median(map(most_waiting, courses))),
        caught_up=median(map(caught_up, courses)),
        slowest=median(max(each.latencies) for each in rounds),
        books_p95=median(percentile(each.ends.books_open, 95) for each in rounds),
        turned_away=sum(each.turned_away for each in courses),
        compensated=sum(each.ends.compensated for each in rounds),
    )


def most_waiting(course: Course) -> int:
    """Return the largest number of checkouts that had arrived and not ended at one time."""
    steps = sorted([*((time, 1) for time in course.arrived), *((time, -1) for time in course.ended)])
    waiting = most = 0
    for _, step in steps:
        waiting += step
        most = max(most, waiting)
    return most


def caught_up(course: Course) -> float:
    """Return the seconds from the end of the outage until all that arrived before it had ended; at least 0."""
    ended = [end for start, end in zip(course.arrived, course.ended, strict=True) if start <= course.up]
    return max(0.0, max(ended, default=course.up) - course.up)


def middle(rounds: Sequence[Round]) -> Round:
    """Return the round with an outage whose time to catch up is the median."""
    ordered = sorted((each for each in rounds if each.course is not None), key=lambda each: caught_up(_course(each)))
    return ordered[(len(ordered) - 1) // 2]


def _course(each: Round) -> Course:
    if each.course is None:
        raise ValueError("a round without an outage")
    return each.course


def _ended_meanwhile(course: Course) -> float:
    there = sum(time < course.up for time in course.arrived) - sum(time < course.down for time in course.ended)
    return sum(course.down <= time < course.up for time in course.ended) / max(1, there)


def _percentile_ms(rounds: Iterable[Sequence[float]], percent: float) -> float | None:
    found = _median(percentile(each, percent) for each in rounds if each)
    return None if found is None else found * 1000


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return median(listed) if listed else None
