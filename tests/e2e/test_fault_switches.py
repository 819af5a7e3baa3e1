"""The results of checkouts with injected faults, in real processes."""

from typing import Any

import pytest

from tests.e2e.faulty import DOES, Switch, switch
from tests.e2e.shop import CARRITO, COMPLETED, PAGOS, QUICK, Became, Shop, attempts_of

__all__ = ["switch"]


@pytest.fixture(scope="module")
def shop_settings() -> dict[str, Any]:
    return {"env": {**QUICK, "FAULTS": "true"}}


def marks_of(shop: Shop, saga_id: str, step: str) -> list[tuple[str, str | None]]:
    """Return the outcome and the injected fault of each request for a step's action."""
    entries = shop.timeline(saga_id, step=step, direction="action")
    return [(entry["outcome"], entry["fault"]) for entry in entries]


@pytest.mark.parametrize("step", DOES)
def test_a_lost_answer_is_requested_again_and_nothing_is_done_twice(shop: Shop, switch: Switch, step: str) -> None:
    switch(DOES[step], "lose_answer", step=step, times=1)
    product = shop.product(quantity=10)
    saga_id = shop.buy(product, 2)
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (8, 0, 2)
    assert marks_of(shop, saga_id, step) == [("unknown", "lose_answer"), ("succeeded", None)]


def test_an_unavailable_service_is_waited_for(shop: Shop, switch: Switch) -> None:
    switch(PAGOS, "unavailable", step="process_payment", times=5)
    saga_id = shop.buy(shop.product())
    assert shop.became(saga_id) == COMPLETED
    assert attempts_of(shop.saga(saga_id))["process_payment"] > 1
    first = shop.timeline(saga_id, step="process_payment")[0]
    assert (first["status_code"], first["fault"], first["together"]) == (503, "unavailable", 1)
    assert "503" in first["detail"]


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("reserve_inventory", Became("compensated", "open")),
        ("process_payment", Became("compensated", "open", (), (), ("released",))),
        ("create_order", Became("compensated", "open", (), ("refunded",), ("released",))),
    ],
)
def test_a_refused_step_turns_its_saga_back(shop: Shop, switch: Switch, step: str, left: Became) -> None:
    switch(DOES[step], "refuse", step=step)
    product = shop.product(quantity=10)
    saga_id = shop.buy(product, 2)
    assert shop.became(saga_id) == left
    assert "on purpose" in shop.saga(saga_id)["error"]
    assert shop.stock(product) == (10, 0, 0)


def test_a_compensation_that_fails_is_tried_until_it_is_done(shop: Shop, switch: Switch) -> None:
    switch(CARRITO, "refuse", step="create_order")
    switch(PAGOS, "fail_undo", step="process_payment", times=4)
    saga_id = shop.buy(shop.product())
    assert shop.became(saga_id).left_nothing
    refunds = shop.timeline(saga_id, step="process_payment", direction="compensation")
    assert [entry["outcome"] for entry in refunds] == ["unknown"] * 4 + ["succeeded"]


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_process_that_is_killed_comes_back_and_the_step_is_done_once(shop: Shop, switch: Switch, point: str) -> None:
    switch(PAGOS, "kill", step="process_payment", times=1, point=point)
    saga_id = shop.buy(shop.product())
    assert shop.became(saga_id) == COMPLETED
    first, *others = marks_of(shop, saga_id, "process_payment")
    assert first == ("unknown", "kill")
    assert {fault for _, fault in others} == {None}, "that it was away for a while is no other fault"


def test_many_at_once_each_suffer_their_own(shop: Shop, switch: Switch) -> None:
    """Commands of many sagas in one request: some are unavailable, some answers are lost, no step is done twice."""
    switch(PAGOS, "unavailable", step="process_payment", times=1, match={"payment_method": "paypal"})
    switch(PAGOS, "lose_answer", step="process_payment", times=1, match={"payment_method": "debit_card"})
    product = shop.product(quantity=100)
    methods = ("paypal", "debit_card", "credit_card") * 6
    sagas = [shop.buy(product, method=method) for method in methods]
    assert {shop.became(saga_id) for saga_id in sagas} == {COMPLETED}
    assert shop.stock(product) == (100 - len(sagas), 0, len(sagas))
