"""The curves of the front page: what is drawn, and that their data is read only while somebody looks."""

import itertools
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from dashboard import trends as module
from dashboard.listing import Filters, StyleReading, listing
from dashboard.pages import sagas_page
from dashboard.sparks import GAP_SECONDS, SAMPLE_SECONDS, SECONDS, Sample, sparks
from dashboard.trends import KEPT, Trends
from shared.testing import wait_until
from tests.unit.dashboard.test_compare import NOW
from tests.unit.dashboard.text import Text

NONE: dict[str, Any] = {"p50": None, "p95": None}


def stats(rate: float, p50: float | None = None, p95: float | None = None) -> Mapping[str, Any]:
    return {"per_second": rate, "latency_ms": {"p50": p50, "p95": p95}, "books_open_ms": NONE}


def sample(at: float, rate: float, p50: float | None = None, p95: float | None = None) -> Sample:
    return Sample(at, {"orchestrated": stats(rate, p50, p95), "choreographed": None})


def test_a_curve_runs_from_five_minutes_ago_until_now_and_from_zero_to_its_most() -> None:
    rate, *_ = sparks([sample(SECONDS - 2, 4.0), sample(SECONDS, 2.0)], "orchestrated", SECONDS)
    [curve] = rate.curves
    assert curve.pieces == ["298.0,2.0 300.0,18.0"]
    assert (rate.most, rate.words) == ("4.0", "now 2.0")


def test_what_was_not_read_is_a_gap_and_what_is_too_old_is_gone() -> None:
    old, late = 0.0, SECONDS + 50.0
    told = [sample(old, 99.0), sample(late - 20, 1.0), sample(late - 20 + GAP_SECONDS + 1, 1.0), sample(late, 1.0)]
    rate, *_ = sparks(told[:3], "orchestrated", late)
    assert len(rate.curves[0].pieces) == 2
    assert rate.most == "1.0"


def test_times_that_there_are_not_and_a_service_that_is_away_are_drawn_as_nothing() -> None:
    told = [sample(1.0, 0.0), sample(3.0, 0.0, 20.0, 1500.0)]
    _, took, books = sparks(told, "orchestrated", 4.0)
    assert [len(curve.pieces) for curve in took.curves] == [1, 1]
    assert (took.most, took.words) == ("1.5 s", "now p50 20 ms, p95 1.5 s")
    assert books.words == "nothing yet"
    assert [each.words for each in sparks(told, "choreographed", 4.0)] == ["nothing yet"] * 3


def test_a_value_that_is_not_of_the_latest_reading_is_told_with_its_age() -> None:
    rate, *_ = sparks([sample(100.0, 1.5)], "orchestrated", 220.0)
    assert rate.words == "2 min 0 s ago 1.5"


def test_the_page_has_a_place_for_curves_before_there_are_any_and_says_them_in_words() -> None:
    readings = [StyleReading(style, "a service", []) for style in ("orchestrated", "choreographed")]
    before = Text(sagas_page(listing(Filters(), readings), NOW))
    after = Text(sagas_page(listing(Filters(), readings, [sample(0.0, 1.5), sample(2.0, 2.5)], 2.0), NOW))
    for page in (before, after):
        heights = [attrs.get("height") for _, attrs in page.tags if attrs.get("class") == "spark"]
        assert heights == ["36"] * 6, "nothing moves when they come"
    labels = [attrs["aria-label"] for _, attrs in after.tags if attrs.get("class") == "spark"]
    assert labels[0] == "Ended per second of the last five minutes: now 2.5, at most 2.5"


def test_one_reader_serves_all_who_look_and_ends_when_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNWATCHED_SECONDS", 0.5)
    numbers = itertools.count(1)

    def read() -> dict[str, Any]:
        return {"orchestrated": stats(next(numbers)), "choreographed": None}

    trends = Trends(read, sample_seconds=0.01)
    wait_until(lambda: len(trends.watched()) >= 3, "it is read on", 60)
    assert sum(thread.name == "trends" and thread.is_alive() for thread in own(trends)) == 1
    wait_until(lambda: not trends.is_reading, "it is not read on", 60)
    so_far = len(trends.watched())
    wait_until(lambda: len(trends.watched()) > so_far, "it is read again for who comes later", 60)
    wait_until(lambda: not trends.is_reading, "it is not read on", 60)


def test_a_dashboard_that_ends_reads_nothing_any_more() -> None:
    trends = Trends(lambda: {"orchestrated": None, "choreographed": None}, sample_seconds=3600)
    wait_until(trends.watched, "it is read once", 60)
    trends.stop()
    wait_until(lambda: not trends.is_reading, "it does not wait for the next time", 60)


def own(trends: Trends) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if getattr(thread, "_target", None) == trends._follow]


def test_a_reading_that_fails_is_left_out_and_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNWATCHED_SECONDS", 0.5)
    numbers = itertools.count(1)

    def read() -> dict[str, Any]:
        if next(numbers) == 1:
            raise RuntimeError("no")
        return {"orchestrated": stats(1.0), "choreographed": None}

    trends = Trends(read, sample_seconds=0.0)
    wait_until(lambda: len(trends.watched()) == KEPT and next(numbers) > 2 * KEPT, "more is read than is kept", 60)
    assert len(trends.watched()) == KEPT == SECONDS / SAMPLE_SECONDS + 1
    wait_until(lambda: not trends.is_reading, "it is not read on", 60)
