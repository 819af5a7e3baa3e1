"""Amounts of money are exact, or are refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_MINOR, to_decimal, to_minor


@given(st.integers(0, MAX_MINOR))
def test_an_amount_survives_every_way_of_writing_it(minor: int) -> None:
    written = to_decimal(minor)
    assert written.as_tuple().exponent == -2
    assert [to_minor(written), to_minor(str(written)), to_minor(written.normalize())] == [minor] * 3


@pytest.mark.parametrize(
    ("value", "minor"),
    [
        (10, 1000),
        (Decimal("0.1"), 10),
        (Decimal("1E+2"), 10_000),
        (Decimal("10.000"), 1000),
        ("19.9", 1990),
        ("7", 700),
    ],
)
def test_numbers_and_text_are_taken(value: Any, minor: int) -> None:
    assert to_minor(value) == minor


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        1.0,
        float("nan"),
        True,
        None,
        [],
        b"1",
        "",
        " 1",
        "1 ",
        "1_0",
        "1e2",
        "+1",
        "1.",
        ".5",
        "1.000",
        "0x1",
        "1,5",
        "\u0661",
        "NaN",
        "Infinity",
        "1\n",
        Decimal("0.001"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        10**400,
        MAX_MINOR // 100 + 1,
    ],
)
def test_what_is_no_exact_amount_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"must|beyond"):
        to_minor(value)
