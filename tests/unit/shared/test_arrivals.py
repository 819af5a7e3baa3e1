"""The estimate of how many items arrive together."""

from shared.batching.arrivals import ArrivalEstimate


def expected_after(*counts: int) -> int:
    estimate = ArrivalEstimate()
    for count in counts:
        estimate.observe(count)
    return estimate.expected


def test_nobody_is_waited_for_where_nobody_came() -> None:
    assert expected_after() == 1


def test_as_many_are_expected_as_came_the_last_time() -> None:
    assert [expected_after(8), expected_after(8, 9), expected_after(9, 8)] == [8, 9, 8]


def test_a_crowd_that_is_gone_is_soon_forgotten() -> None:
    assert [expected_after(8, *[1] * times) for times in range(5)] == [8, 4, 2, 1, 1]
