"""Percentiles by the nearest-rank method."""

import pytest

from shared.percentile import percentile


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 5), (51, 6), (95, 10), (99, 10), (100, 10)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percent: float, value: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert {percentile([7], percent) for percent in (0, 50, 99)} == {7}
