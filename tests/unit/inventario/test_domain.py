"""The rules of stock, without a database."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventario.domain import (
    InsufficientStock,
    Line,
    ProductNotFound,
    ReservationStatus,
    Reserve,
    allocate,
    merged,
    not_held,
)
from shared.errors import DomainError

SAGA = UUID(int=7)
LINES = st.lists(st.builds(Line, st.integers(1, 9), st.integers(1, 100)), min_size=1)
FEW_LINES = st.lists(st.builds(Line, st.integers(1, 3), st.integers(1, 4)), min_size=1)  # many that just fit, or don't


@given(LINES)
def test_merging_lines_loses_nothing_and_puts_products_in_the_order_of_locking(lines: list[Line]) -> None:
    wanted = merged(lines)
    assert list(wanted) == sorted({line.product_id for line in lines})
    assert sum(wanted.values()) == sum(line.quantity for line in lines)


def reserve(number: int, **wanted: int) -> Reserve:
    """Return the reserve of saga `number`, of products p1, p2 and so on."""
    return Reserve(UUID(int=number), UUID(int=number), {int(name[1:]): quantity for name, quantity in wanted.items()})


def refusal_of(wanted: dict[int, int], available: dict[int, int]) -> DomainError | None:
    """Return the refusal of a single saga."""
    return allocate([Reserve(SAGA, SAGA, wanted)], available).get(SAGA)


def test_the_first_product_that_there_is_not_is_named() -> None:
    refusal = refusal_of({1: 5, 2: 5, 3: 5}, {1: 0})
    assert isinstance(refusal, ProductNotFound)
    assert refusal.fields == {"product_id": 2}


@pytest.mark.parametrize(("wanted", "available"), [(5, 5), (1, 2), (0, 0)])
def test_what_is_available_is_no_shortage(wanted: int, available: int) -> None:
    assert refusal_of({7: wanted}, {7: available}) is None


def test_a_shortage_says_of_what_how_many_are_wanted_and_how_many_there_are() -> None:
    refusal = refusal_of({1: 5, 2: 6, 3: 7}, {1: 5, 2: 5, 3: 5})
    assert isinstance(refusal, InsufficientStock)
    assert refusal.fields == {"product_id": 2, "wanted": 6, "available": 5}
    assert refusal.detail == "product 2: 6 wanted, 5 available"


def test_each_in_its_turn_has_what_those_before_it_left() -> None:
    refused = allocate([reserve(1, p1=6), reserve(2, p1=5), reserve(3, p1=4)], {1: 10})
    assert [(saga_id.int, refusal.fields["available"]) for saga_id, refusal in refused.items()] == [(2, 4)]


def test_what_a_refused_one_could_have_had_is_left_to_the_next() -> None:
    refused = allocate([reserve(1, p1=8, p2=2), reserve(2, p1=10)], {1: 10, 2: 1})
    assert [saga_id.int for saga_id in refused] == [1]


@given(st.lists(FEW_LINES, max_size=8), st.dictionaries(st.integers(1, 3), st.integers(0, 12)))
def test_nothing_is_given_twice_and_nobody_is_refused_without_need(
    wanted: list[list[Line]], stock: dict[int, int]
) -> None:
    reserves = [Reserve(UUID(int=number), SAGA, merged(lines)) for number, lines in enumerate(wanted)]
    refused, left = allocate(reserves, stock), dict(stock)
    for each in reserves:
        fits = all(left.get(product_id, -1) >= quantity for product_id, quantity in each.wanted.items())
        assert (each.saga_id not in refused) == fits
        if fits:
            left |= {product_id: left[product_id] - quantity for product_id, quantity in each.wanted.items()}
    assert all(quantity >= 0 for quantity in left.values())


@pytest.mark.parametrize("status", [ReservationStatus.EXPIRED, ReservationStatus.RELEASED])
def test_what_became_of_a_hold_is_told(status: ReservationStatus) -> None:
    refusal = not_held(SAGA, status)
    assert refusal.fields == {"saga_id": SAGA, "reservation": status}
    assert refusal.detail == f"the reservation of saga {SAGA} is {status}"
