"""The arithmetic of the benchmark."""

from dataclasses import replace
from itertools import pairwise

import pytest

from bench.checkouts import is_chosen
from bench.counts import Counts
from bench.figures import Figures, figures_of, medians, used
from bench.plan import Case, Plan
from bench.report import Results

PLAN = Plan(("baseline", "orchestrated"), ("spread",), (1, 8), sagas=10, rounds=3, declines=0.1)


def figures(rate: float = 1, cpu: float = 1, p50: float = 1) -> Figures:
    return Figures(rate, p50, 2, 3, {"all": cpu, "driver": cpu}, 7, 4, 5, None)


def test_figures_are_per_saga_and_in_milliseconds() -> None:
    found = figures_of(2, [0.1, 0.2, 0.3, 0.4], {"carrito": 0.02, "driver": 0.004}, Counts(20, 10, 8_000, 12))
    assert (found.sagas_per_second, found.p50_ms, found.p99_ms) == (2, 200, 400)
    assert found.cpu_ms == {"all": 6, "carrito": 5, "driver": 1}
    assert (found.http_requests, found.writing_transactions, found.wal_kilobytes, found.statements) == (5, 2.5, 2, 3)


def test_what_was_used_is_the_difference_of_each_component() -> None:
    assert used({"a": 1, "b": 5}, {"a": 3, "b": 5}) == {"a": 2, "b": 0}


def test_a_component_that_began_meanwhile_counts_from_zero() -> None:
    assert used({"a": 1}, {"a": 1, "new": 2}) == {"a": 0, "new": 2}


def test_a_component_that_ended_meanwhile_does_not_change_the_sum() -> None:
    assert sum(used({"a": 1, "child": 5}, {"a": 8}).values()) == 2


def test_a_component_that_a_round_lacks_used_nothing_in_it() -> None:
    rounds = [figures(), figures(), replace(figures(), cpu_ms={"all": 3, "new": 2})]
    assert medians(rounds).cpu_ms == {"all": 1, "driver": 1, "new": 0}


def test_medians_are_of_each_figure_on_its_own() -> None:
    found = medians([figures(1, 30, 5), figures(9, 10, 7), figures(2, 20, 6)])
    assert (found.sagas_per_second, found.cpu_ms, found.p50_ms) == (2, {"all": 20, "driver": 20}, 6)


def test_ratios_are_to_the_baseline_under_the_same_load() -> None:
    measured = {
        Case("spread", 1, "baseline"): figures(100, 10),
        Case("spread", 8, "baseline"): figures(200, 20),
        Case("spread", 8, "orchestrated"): figures(300, 15),
    }
    results = Results(PLAN, measured, {})
    assert results.ratio(Case("spread", 8, "orchestrated"), "sagas_per_second") == 1.5
    assert results.ratio(Case("spread", 8, "orchestrated"), "cpu_ms") == 0.75


def test_without_a_baseline_there_is_no_ratio() -> None:
    case = Case("spread", 8, "orchestrated")
    results = Results(PLAN, {case: figures()}, {})
    assert results.ratio(case, "cpu_ms") is None
    assert "x " not in str(results).splitlines()[3]


def test_to_a_baseline_too_short_for_the_clock_there_is_no_ratio() -> None:
    case = Case("spread", 8, "orchestrated")
    results = Results(PLAN, {case: figures(), Case("spread", 8, "baseline"): figures(100, 0)}, {})
    assert results.ratio(case, "cpu_ms") is None
    assert str(results)


def test_a_round_has_no_more_sagas_than_tell_something() -> None:
    plan = replace(PLAN, sagas=300)
    assert [plan.sagas_at(concurrency) for concurrency in (1, 3, 4, 32)] == [80, 240, 300, 300]


@pytest.mark.parametrize(("share", "declined"), [(0, 0), (0.1, 10), (0.25, 25), (0.3, 30), (1, 100)])
def test_the_share_of_declines_is_spread_evenly(share: float, declined: int) -> None:
    numbers = [number for number in range(100) if is_chosen(number, share)]
    assert len(numbers) == declined
    assert len({after - before for before, after in pairwise(numbers)}) <= 2


def test_styles_take_turns_and_each_is_first_once() -> None:
    cases = [case for case in PLAN.cases() if case.concurrency == 8]
    assert [case.style[0] for case in cases] == ["b", "o", "o", "b", "b", "o"]
    assert len(list(PLAN.cases())) == 2 * 2 * 3
