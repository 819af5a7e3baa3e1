"""What inventario promises about stock, without a database."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventario.domain import InsufficientStock, Line, ProductNotFound, check_products, merged, not_held, shortage

LINES = st.lists(st.builds(Line, st.integers(1, 9), st.integers(1, 100)), min_size=1)


@given(LINES)
def test_merging_lines_loses_nothing_and_puts_products_in_the_order_of_locking(lines: list[Line]) -> None:
    wanted = merged(lines)
    assert list(wanted) == sorted({line.product_id for line in lines})
    assert sum(wanted.values()) == sum(line.quantity for line in lines)


def test_the_first_product_that_there_is_not_is_named() -> None:
    with pytest.raises(ProductNotFound) as error:
        check_products({1: 5, 2: 5, 3: 5}, {1: 5})
    assert error.value.fields == {"product_id": 2}


def test_products_that_there_are_pass_whatever_their_stock() -> None:
    check_products({1: 5}, {1: 0, 2: 0})


@pytest.mark.parametrize(("wanted", "available"), [(5, 5), (1, 2), (0, 0)])
def test_what_is_available_is_no_shortage(wanted: int, available: int) -> None:
    assert shortage({7: wanted}, {7: available}) is None


def test_a_shortage_says_of_what_how_many_are_wanted_and_how_many_there_are() -> None:
    refusal = shortage({1: 5, 2: 6, 3: 7}, {1: 5, 2: 5, 3: 5})
    assert isinstance(refusal, InsufficientStock)
    assert refusal.fields == {"product_id": 2, "wanted": 6, "available": 5}
    assert refusal.detail == "product 2: 6 wanted, 5 available"


@given(LINES, st.dictionaries(st.integers(1, 9), st.integers(0, 100)))
def test_there_is_a_shortage_exactly_when_some_product_is_short(lines: list[Line], stock: dict[int, int]) -> None:
    wanted = merged(lines)
    available = {product_id: stock.get(product_id, 0) for product_id in wanted}
    short = any(available[product_id] < quantity for product_id, quantity in wanted.items())
    assert (shortage(wanted, available) is not None) == short


def test_what_became_of_a_hold_is_told() -> None:
    saga_id = UUID(int=7)
    assert not_held(saga_id, "expired").fields == {"saga_id": saga_id, "reservation": "expired"}
