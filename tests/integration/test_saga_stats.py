"""The statistics of both saga services."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from shared.saga import stats
from tests.integration.api_client import problem_of
from tests.integration.saga_stages import STAGES, Stage, stage_of


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest, service_client: Callable[..., FlaskClient], fresh_database_url: str) -> Stage:
    return stage_of(request.param, service_client(request.param, database_url=fresh_database_url))


def took(stage: Stage, *times: tuple[str, float, float, float]) -> None:
    """Give the sagas, in the order of their ids, this status, and an end so many seconds ago.

    The other two values are how long they took, and how long their services disagreed.
    """
    schema = stage.client.application.extensions["sqlalchemy"].service
    with stage.transaction() as connection:
        ids = connection.scalars(text(f"SELECT saga_id FROM {schema}.sagas ORDER BY saga_id")).all()
        for saga_id, (status, ago, whole, disagreed) in zip(ids, times, strict=True):
            connection.execute(
                text(f"""
                    UPDATE {schema}.sagas SET status = :status, ended_at = now() - :ago * interval '1 second',
                        created_at = now() - (:ago + :whole) * interval '1 second',
                        first_effect_at = now() - (:ago + :disagreed) * interval '1 second'
                    WHERE saga_id = :saga_id"""),
                {"status": status, "ago": ago, "whole": whole, "disagreed": disagreed, "saga_id": saga_id},
            )


def test_without_sagas_there_is_nothing_to_tell(stage: Stage) -> None:
    nothing = {"p50": None, "p95": None}
    assert stage.read("/stats") == {
        "seconds": 60.0,
        "live": {"pending": 0, "running": 0, "compensating": 0, "stuck": 0},
        "ended": {"completed": 0, "compensated": 0},
        "per_second": 0.0,
        "latency_ms": nothing,
        "books_open_ms": nothing,
    }


def test_live_sagas_are_counted_by_status(stage: Stage) -> None:
    _, turned_back = stage.paid(), stage.paid()
    stage.post(f"{stage.base}/{turned_back}/compensate", {})
    live = stage.read("/stats")["live"]
    assert (live["running"], live["compensating"], live["stuck"]) == (1, 1, 0)


def test_those_that_ended_lately_tell_the_rate_and_how_long_it_took(stage: Stage) -> None:
    for _ in range(4):
        stage.completed()
    took(
        stage,
        ("completed", 1, 1.0, 0.5),
        ("completed", 2, 3.0, 0.5),
        ("compensated", 3, 100.0, 0.8),  # compensated long after its beginning: not a latency of a checkout
        ("completed", 500, 9.0, 9.0),
    )
    found = stage.read("/stats", seconds=100)
    assert (found["seconds"], found["per_second"]) == (100, Decimal("0.03"))
    assert found["ended"] == {"completed": 2, "compensated": 1}
    assert found["latency_ms"] == {"p50": 2000.0, "p95": 2900.0}
    assert found["books_open_ms"] == {"p50": 500.0, "p95": 770.0}


def test_of_too_many_the_latest_count_and_the_time_they_took(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MOST_ENDED", 2)
    for _ in range(3):
        stage.completed()
    took(stage, ("completed", 40, 1, 1), ("completed", 10, 1, 1), ("completed", 20, 1, 1))
    found = stage.read("/stats", seconds=3600)
    assert found["ended"] == {"completed": 2, "compensated": 0}
    assert 20 <= found["seconds"] < 40
    assert float(found["per_second"]) == pytest.approx(2 / float(found["seconds"]), abs=0.001)


@pytest.mark.parametrize("seconds", ["0", "3601", "x"])
def test_a_time_that_can_not_be_is_refused(stage: Stage, seconds: str) -> None:
    assert problem_of(stage.get(f"{stage.base}/stats?seconds={seconds}"))["status"] == 422
