"""Statistics of a service's sagas: live ones by status; rate and latency of those that ended lately."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Table, WithinGroup, extract, func, select

from shared.http.schemas import Body, View
from shared.saga.states import ENDED, SagaStatus

# Rates and percentiles are of at most so many of the latest sagas, which takes some ten milliseconds: a page may ask
# every second.
MOST_ENDED = 5000
PERCENTILES = (0.5, 0.95)


class StatsQuery(Body):
    """Of how many seconds until now."""

    seconds: int = Field(default=60, ge=1, le=3600)


class Percentiles(View):
    """In milliseconds; null when there was none."""

    p50: float | None
    p95: float | None


class StatsOut(View):
    """What is live now by status, and what ended within the last `seconds`.

    When more than 5,000 sagas ended in that time, `seconds` is the shorter time of the latest 5,000. `latency_ms` is
    from a saga's beginning to its completion; `books_open_ms` from its first effect to its end, of whichever kind.
    """

    seconds: float
    live: dict[str, int]
    ended: dict[str, int]
    per_second: float
    latency_ms: Percentiles
    books_open_ms: Percentiles


def stats_of(connection: Connection, sagas: Table, seconds: int) -> StatsOut:
    """Compute the statistics of the last `seconds` seconds."""
    counted = select(sagas.c.status, func.count()).where(sagas.c.due_at.is_not(None)).group_by(sagas.c.status)
    live = {row[0]: row[1] for row in connection.execute(counted)}
    latest = (
        select(sagas.c.status, sagas.c.created_at, sagas.c.first_effect_at, sagas.c.ended_at)
        .where(sagas.c.ended_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds))
        .order_by(sagas.c.ended_at.desc())
        .limit(MOST_ENDED)
        .subquery()
    )
    completed = latest.c.status == SagaStatus.COMPLETED
    found = connection.execute(
        select(
            func.count().label("all"),
            func.count().filter(completed).label("completed"),
            extract("epoch", func.now() - func.min(latest.c.ended_at)).label("since"),
            _percentiles(latest.c.ended_at - latest.c.created_at).filter(completed).label("latency"),
            _percentiles(latest.c.ended_at - latest.c.first_effect_at).label("open"),
        )
    ).one()
    covered = float(seconds) if found.all < MOST_ENDED else max(0.001, float(found.since))
    return StatsOut(
        seconds=round(covered, 3),
        live={status: live.get(status, 0) for status in SagaStatus if status not in ENDED},
        ended={SagaStatus.COMPLETED: found.completed, SagaStatus.COMPENSATED: found.all - found.completed},
        per_second=round(found.all / covered, 3),
        latency_ms=_milliseconds(found.latency),
        books_open_ms=_milliseconds(found.open),
    )


def _percentiles(times: ColumnElement[Any]) -> WithinGroup[Any]:
    return func.percentile_cont(list(PERCENTILES)).within_group(extract("epoch", times))


def _milliseconds(seconds: Sequence[float] | None) -> Percentiles:
    p50, p95 = (None, None) if seconds is None else (round(float(each) * 1e3, 3) for each in seconds)
    return Percentiles(p50=p50, p95=p95)
