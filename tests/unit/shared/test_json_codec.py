"""JSON numbers keep every digit, and texts that are not JSON are refused."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.json_codec import dumps, loads

PLACES = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15), max_value=10**15)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | PLACES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    assert loads(dumps(value)) == value


def test_a_fraction_keeps_its_places() -> None:
    assert dumps({"total": Decimal("10.00")}) == '{"total":10.00}'
    assert str(loads("0.1000000000000000055")) == "0.1000000000000000055"


def test_ids_and_times_are_text() -> None:
    value = {"id": UUID(int=1), "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
    assert dumps(value) == '{"id":"00000000-0000-0000-0000-000000000001","at":"2026-01-02T03:04:05+00:00"}'


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        dumps({"thing": object()})


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", '{"a":-Infinity}', "01", "{'a':1}", "[1,]", "1 2", "\x00"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        loads(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000])
def test_what_is_nested_beyond_reason_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        loads(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
def test_what_json_cannot_say_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        dumps(value)
