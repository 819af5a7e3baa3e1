"""Times along a scale."""

import pytest

from dashboard.scale import Scale


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (90.0, ["0", "20 ms", "40 ms", "60 ms", "80 ms"]),
        (1600.0, ["0", "0.5 s", "1 s", "1.5 s"]),
        (130_000.0, ["0", "20 s", "40 s", "60 s", "80 s", "100 s", "120 s"]),
        (150_000.0, ["0", "1 min", "2 min"]),
        (8_000_000.0, ["0", "1 h", "2 h"]),
    ],
)
def test_the_times_of_one_scale_have_one_unit(end: float, words: list[str]) -> None:
    assert [word for _, word in Scale([], end, fold=False).ticks] == words
