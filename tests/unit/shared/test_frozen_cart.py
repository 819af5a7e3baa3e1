"""How a saga service reads carrito's answer about a frozen cart."""

from decimal import Decimal
from typing import Any

import pytest

from shared.http.client import PeerSilent, Reply
from shared.ids import new_id
from shared.saga.frozen import FrozenCart, FrozenCartAnswer, FrozenLine

SAGA, ORDER, SHIPMENT = new_id(), new_id(), new_id()
ANSWER = {
    "saga_id": str(SAGA),
    "user_id": "ana",
    "items": [{"product_id": 7, "quantity": 2, "line_total": Decimal("20.50")}],
    "total": Decimal("20.50"),
    "currency": "EUR",
    "payment_id": None,
    "order_id": str(ORDER),
}


def test_every_id_that_carrito_chose_is_kept_also_one_that_no_step_of_today_has() -> None:
    cart = Reply(201, {**ANSWER, "shipment_id": str(SHIPMENT)}, {}).success(FrozenCartAnswer).cart
    assert cart == FrozenCart(SAGA, (FrozenLine(7, 2),), 2050, "EUR", {"order_id": ORDER, "shipment_id": SHIPMENT})


@pytest.mark.parametrize(
    "wrong",
    [
        {"saga_id": "one"},
        {"saga_id": None},
        {"items": None},
        {"items": [7]},
        {"order_id": 5},
        {"items": [{"product_id": 7}]},
        {"items": [{"product_id": 7, "quantity": Decimal("1.5")}]},
        {"total": "much"},
        {"total": Decimal("1.001")},
    ],
)
def test_an_answer_that_is_no_frozen_cart_is_one_that_leaves_the_checkout_in_doubt(wrong: dict[str, Any]) -> None:
    with pytest.raises(PeerSilent):
        Reply(201, {**ANSWER, **wrong}, {}).success(FrozenCartAnswer)
