"""The targets beside what was measured."""

from bench import targets
from bench.figures import Figures
from bench.plan import Case


def figures(rate: float, p50: float = 10) -> Figures:
    return Figures(rate, p50, 2, 3, {"all": 1}, 7, 4, 5, None)


def test_rates_and_times_are_compared_with_those_of_the_same_concurrency() -> None:
    measured = {
        Case("spread", 1, "baseline"): figures(100, 8),
        Case("spread", 1, "orchestrated"): figures(50, 20),
        Case("spread", 32, "baseline"): figures(100),
        Case("spread", 32, "dbos"): figures(50),
        Case("spread", 32, "orchestrated"): figures(150),
        Case("hot", 32, "orchestrated"): figures(120),
    }
    (table,) = targets.as_table(measured)
    assert table.splitlines()[2:] == [
        "| 1 | orchestrated | time to baseline's | 2.50 | <= 2 |",
        "| 32 | orchestrated | rate to baseline's | 1.50 | >= 1.3 |",
        "| 32 | orchestrated | rate to dbos's | 3.00 | >= 4.5 |",
        "| 32 | orchestrated | rate of one hot product to many products' | 0.80 | >= 0.9 |",
    ]


def test_where_nothing_was_measured_that_has_a_target_there_is_no_table() -> None:
    assert targets.as_table({Case("spread", 3, "baseline"): figures(100)}) == []
