"""carrito's rules, without a database."""

import pytest

from carrito.domain import CartFull, CartLine, NotEnoughStock, Product, check_room, check_stock, total_minor

PRODUCT = Product(7, "tea", 499, 5)


def line(quantity: int = 1, unit_price_minor: int = 1) -> CartLine:
    return CartLine(7, "tea", quantity, unit_price_minor)


def test_the_total_is_the_sum_of_the_lines() -> None:
    assert total_minor([line(3, 250), line(1, 1)]) == 751


def test_as_many_as_there_are_may_be_wanted() -> None:
    check_stock(PRODUCT, 5)


def test_one_more_is_refused_with_the_figures() -> None:
    with pytest.raises(NotEnoughStock) as caught:
        check_stock(PRODUCT, 6)
    assert caught.value.fields == {"product_id": 7, "wanted": 6, "available": 5}


@pytest.mark.parametrize(
    "items",
    [[line()] * 101, [line(quantity=1_000_001)], [line(1_000_000, 10**11)]],
    ids=["too many products", "too many of one", "too expensive"],
)
def test_a_cart_that_nobody_could_reserve_or_pay_for_is_refused(items: list[CartLine]) -> None:
    with pytest.raises(CartFull):
        check_room(items)


def test_a_cart_at_its_limits_is_fine() -> None:
    check_room([line(quantity=1_000_000)] * 100)
