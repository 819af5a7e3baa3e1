"""A shopper who knows every id and sends requests that only sagas may send: nobody gets goods without paying."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.shop import (
    ADDRESS,
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    COMPLETED,
    EXECUTOR,
    INVENTARIO,
    ORCHESTRATED,
    ORCHESTRATOR,
    PAGOS,
    QUICK,
    SEPARATE,
    UNDONE,
    USER,
    Shop,
)

STYLES = [ORCHESTRATED, CHOREOGRAPHED]
WAYS = {ORCHESTRATED: (ORCHESTRATOR, "/saga/checkout"), CHOREOGRAPHED: (CHOREOGRAPHY, "/saga/choreography/checkout")}


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    env = {**QUICK, **SEPARATE, "FORWARD_DEADLINE_SECONDS": "5"}
    return {"rabbitmq_url": broker_url, "copies": {EXECUTOR: 1}, "env": env}


@pytest.fixture
def cheap_and_dear(shop: Shop) -> tuple[int, int]:
    return shop.product(quantity=1000, price="1.00"), shop.product(quantity=1000, price="2598.00")


def is_whole(shop: Shop, cart: str, saga_id: str, total: Decimal) -> None:
    """Check that all of the cart, as it was at the saga's beginning, was sold and paid; or nothing."""
    saga = shop.ended(saga_id)
    orders = [each for each in items(shop, CARRITO, f"/orders/saga/{cart}") if each["saga_id"] == saga_id]
    payments = [each for each in items(shop, PAGOS, f"/api/v1/payments/saga/{cart}") if each["saga_id"] == saga_id]
    lines = [
        each for each in items(shop, INVENTARIO, f"/api/products/reservations/{cart}") if each["saga_id"] == saga_id
    ]
    kept = sum(each["amount"] - each["refunded"] for each in payments if each["status"] != "declined")
    standing = [each for each in orders if each["status"] != "cancelled"]
    sold = [(each["product_id"], each["quantity"]) for each in lines if each["status"] == "committed"]
    assert not [each for each in lines if each["status"] == "held"]
    if saga["status"] == "completed":
        assert [each["total"] for each in standing] == [kept] == [total]
        assert [(each["product_id"], each["quantity"]) for each in standing[0]["items"]] == sold
    else:
        assert (standing, kept, sold) == ([], 0, [])


def items(shop: Shop, service: str, path: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = shop.get(service, path).body["items"]
    return found


@pytest.mark.parametrize("style", STYLES)
def test_a_cart_that_is_opened_while_it_is_checked_out_gives_nothing_away(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    cheap, dear = cheap_and_dear
    for _ in range(8):
        cart = shop.cart((cheap, 1))
        saga_id = shop.begin(cart, style=style)
        opened = shop.post(CARRITO, f"/carts/{cart}/release", {"saga_id": saga_id}).status
        added = shop.post(CARRITO, f"/carts/{cart}/items", {"product_id": dear, "quantity": 1}).status
        assert (opened, added) in {(200, 201), (409, 409), (200, 409)}
        is_whole(shop, cart, saga_id, Decimal("1.00"))


def test_a_saga_whose_cart_is_opened_before_its_service_heard_of_it_is_not_forgotten(
    shop: Shop, cheap_and_dear: tuple[int, int]
) -> None:
    cheap, dear = cheap_and_dear
    cart = shop.cart((cheap, 1))
    shop.system.kill(ORCHESTRATOR)
    saga_id = shop.begin(cart)
    assert shop.post(CARRITO, f"/carts/{cart}/release", {"saga_id": saga_id}).status == 200
    assert shop.post(CARRITO, f"/carts/{cart}/items", {"product_id": dear, "quantity": 1}).status == 201
    shop.restart(ORCHESTRATOR)
    assert shop.ended(saga_id)["status"] == "compensated"
    is_whole(shop, cart, saga_id, Decimal("1.00"))


@pytest.mark.parametrize("other", STYLES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("change", [{}, {"payment_method": "paypal"}, {"user_id": "eve"}, {"billing_address": "mine"}])
def test_nobody_takes_a_saga_over_by_its_id(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str, other: str, change: dict[str, str]
) -> None:
    cheap, _ = cheap_and_dear
    cart = shop.cart((cheap, 1))
    saga_id = shop.begin(cart, style=style)
    checkout_body = {**shop.checkout_body(cart), "saga_id": saga_id, **change}
    while_it_runs = shop.post(*WAYS[other], checkout_body)
    assert shop.became(saga_id) == COMPLETED
    when_it_ended = shop.post(*WAYS[other], checkout_body)
    expected = 202 if style == other and not change else 409
    assert (while_it_runs.status, when_it_ended.status) == (expected, expected)
    assert when_it_ended.body.get("field") == (None if expected == 202 else next(iter(change), "saga_pattern"))
    assert shop.became(saga_id) == COMPLETED
    is_whole(shop, cart, saga_id, Decimal("1.00"))


@pytest.mark.parametrize("style", STYLES)
def test_a_saga_that_carrito_never_began_is_not_accepted(shop: Shop, style: str) -> None:
    checkout_body = {**shop.checkout_body(str(uuid4())), "saga_id": str(uuid4())}
    assert shop.post(*WAYS[style], checkout_body).status == 404
    assert shop.get(WAYS[style][0], WAYS[style][1].replace("checkout", checkout_body["saga_id"])).status == 404


@pytest.mark.parametrize("amount", ["1.00", "0.50"])
def test_what_somebody_else_paid_under_a_sagas_id_is_given_back_when_the_saga_turns_back(
    shop: Shop, cheap_and_dear: tuple[int, int], amount: str
) -> None:
    cart = shop.cart((cheap_and_dear[0], 1))
    shop.system.freeze(EXECUTOR)
    saga_id = shop.begin(cart)
    paid = {"saga_id": saga_id, "cart_id": cart, "user_id": USER, "amount": amount, "payment_method": "credit_card"}
    assert shop.post(PAGOS, "/api/v1/payments/saga", paid).status == 201
    shop.system.thaw(EXECUTOR)
    assert shop.ended(saga_id)["status"] == "compensated"
    is_whole(shop, cart, saga_id, Decimal("1.00"))


def test_the_ids_of_a_saga_made_by_hand_begin_no_other(shop: Shop, cheap_and_dear: tuple[int, int]) -> None:
    cart, saga_id = shop.cart((cheap_and_dear[0], 1)), str(uuid4())
    order = shop.post(CARRITO, "/orders", {"cart_id": cart, "saga_id": saga_id})
    assert order.status == 201
    for way in WAYS.values():
        assert shop.post(*way, {**shop.checkout_body(cart), "saga_id": saga_id}).status == 409
    shop.post(CARRITO, f"/orders/{order.body['id']}/cancel", {"saga_id": saga_id})
    assert shop.post(CARRITO, f"/carts/{cart}/release", {"saga_id": saga_id}).status == 200


@pytest.mark.parametrize("style", STYLES)
def test_what_is_requested_under_a_sagas_id_before_the_saga_does_so_does_not_change_what_it_is(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    """He freezes his cart, pays a cent and orders under the saga's id, before the checkout begins."""
    _, dear = cheap_and_dear
    cart = shop.cart((dear, 1))
    frozen = shop.post(CARRITO, f"/carts/{cart}/checkout", _freeze(style)).body
    saga_id = frozen["saga_id"]
    shop.post(
        PAGOS, "/api/v1/payments/saga", {**_ids(frozen), "user_id": USER, "amount": 1, "payment_method": "paypal"}
    )
    order = shop.post(CARRITO, "/orders", {**_ids(frozen), "order_id": frozen["order_id"], "amount": "0.01"})
    assert (order.status, order.body["field"]) == (409, "total")
    shop.post(*WAYS[style], {**shop.checkout_body(cart), "saga_id": saga_id})
    shop.know(saga_id, style)
    saga = shop.ended(saga_id)
    assert saga["status"] == "compensated"
    is_whole(shop, cart, saga_id, Decimal("2598.00"))


def undo_alone(shop: Shop, saga_id: str) -> list[int]:
    """Request the compensation of each step of a saga, at its endpoint and in a batch; return the statuses."""
    about = shop.get(CARRITO, f"/checkouts/{saga_id}").body
    steps = [
        (CARRITO, f"/orders/{about['order_id']}/cancel", {}),
        (PAGOS, f"/api/v1/payments/saga/{about['payment_id']}/refund", {}),
        (INVENTARIO, "/api/products/unreserve", {"cart_id": about["cart_id"]}),
    ]
    answers = []
    for service, path, fields in steps:
        body = {"saga_id": saga_id, **fields}
        answers.append(shop.post(service, path, body).status)
        [outcome] = shop.post(service, "/saga-commands", {"commands": [{"path": path, "body": body}]}).body["outcomes"]
        answers.append(outcome["status"])
    return answers


@pytest.mark.parametrize("style", STYLES)
def test_no_step_of_a_saga_that_stands_is_undone_alone(shop: Shop, cheap_and_dear: tuple[int, int], style: str) -> None:
    """Nobody keeps goods whose payment was refunded, or an order whose goods were returned."""
    cart = shop.cart((cheap_and_dear[1], 1))
    saga_id = shop.begin(cart, style=style)
    assert shop.became(saga_id) == COMPLETED
    assert undo_alone(shop, saga_id) == [409] * 6
    assert shop.became(saga_id) == COMPLETED
    is_whole(shop, cart, saga_id, Decimal("2598.00"))
    assert shop.compensate(saga_id).status == 202
    assert shop.became(saga_id) == UNDONE
    assert set(undo_alone(shop, saga_id)) == {200}
    assert shop.became(saga_id) == UNDONE


# The process that dies, and where, so that the saga waits after its payment.
PAID = {
    ORCHESTRATED: (EXECUTOR, "executor.after_call.process_payment.action"),
    CHOREOGRAPHED: ("carrito-worker", "carrito.worker.before_commit"),
}


@pytest.mark.parametrize("style", STYLES)
def test_the_money_of_a_saga_that_may_still_order_does_not_go_back(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    """Otherwise it would order, and sell, what is no longer paid."""
    cart = shop.cart((cheap_and_dear[1], 1))
    worker, point = PAID[style]
    shop.restart(worker, FAULT_KILL_AT=point)
    saga_id = shop.begin(cart, style=style)
    shop.system.wait_dead(worker)
    about = shop.get(CARRITO, f"/checkouts/{saga_id}").body
    refund = shop.post(PAGOS, f"/api/v1/payments/saga/{about['payment_id']}/refund", {"saga_id": saga_id})
    assert (refund.status, refund.body["type"]) == (409, "/problems/saga-stands")
    shop.restart(worker)
    assert shop.became(saga_id) == COMPLETED
    is_whole(shop, cart, saga_id, Decimal("2598.00"))


@pytest.mark.parametrize("style", STYLES)
def test_what_was_reserved_otherwise_under_a_sagas_id_keeps_it_from_nothing_but_its_success(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    """The saga turns back, and its cart is open again."""
    for path, fields in (("unreserve", {}), ("reserve", {"items": [{"product_id": cheap_and_dear[1], "quantity": 1}]})):
        cart = shop.cart((cheap_and_dear[0], 1))
        shop.system.kill("inventario-worker")
        frozen = shop.post(CARRITO, f"/carts/{cart}/checkout", _freeze(style)).body
        foreign = {"saga_id": frozen["saga_id"], "cart_id": str(uuid4()), **fields}
        assert shop.post(INVENTARIO, f"/api/products/{path}", foreign).status < 300
        shop.restart("inventario-worker")
        shop.post(*WAYS[style], {**shop.checkout_body(cart), "saga_id": frozen["saga_id"]})
        shop.know(frozen["saga_id"], style)
        assert shop.ended(frozen["saga_id"])["status"] == "compensated"
        assert shop.cart_as_it_is(cart)["status"] == "open"
        assert shop.post(INVENTARIO, "/api/products/unreserve", foreign).status == 200  # the stock was never the saga's


@pytest.mark.parametrize("style", STYLES)
def test_a_payment_under_a_sagas_id_whose_id_nobody_chose_leaves_the_saga_nothing_to_wait_for(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    cart = shop.cart((cheap_and_dear[0], 1))
    frozen = shop.post(CARRITO, f"/carts/{cart}/checkout", _freeze(style)).body
    ids = {"saga_id": frozen["saga_id"], "cart_id": cart}
    paid = {**ids, "user_id": USER, "amount": "1.00", "payment_method": "credit_card"}
    foreign = shop.post(PAGOS, "/api/v1/payments/saga", paid)
    assert foreign.status == 201
    shop.post(*WAYS[style], {**shop.checkout_body(cart), "saga_id": frozen["saga_id"]})
    shop.know(frozen["saga_id"], style)
    assert shop.ended(frozen["saga_id"])["status"] == "compensated"
    assert shop.cart_as_it_is(cart)["status"] == "open"
    refund = f"/api/v1/payments/saga/{foreign.body['id']}/refund"
    assert shop.post(PAGOS, refund, {"saga_id": frozen["saga_id"]}).status == 200


@pytest.mark.parametrize("style", STYLES)
def test_what_was_sold_before_a_payment_that_never_comes_goes_back(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    """He sells himself the goods under the saga's id, and has its payment refused for good, before it begins."""
    cart = shop.cart((cheap_and_dear[1], 1))
    shop.system.kill("inventario-worker")
    frozen = shop.post(CARRITO, f"/carts/{cart}/checkout", _freeze(style)).body
    ids = {"saga_id": frozen["saga_id"], "cart_id": cart}
    paid = {"user_id": USER, "amount": "1.00", "payment_method": "credit_card"}
    declined = {**paid, "cart_id": str(uuid4()), "payment_id": str(uuid4()), "payment_method": "declined_card"}
    taken = {**ids, **paid, "payment_id": declined["payment_id"]}
    assert [shop.post(PAGOS, "/api/v1/payments/saga", body).status for body in (declined, taken)] == [402, 409]
    wanted = [{"product_id": cheap_and_dear[1], "quantity": 1}]
    assert shop.post(INVENTARIO, "/api/products/reserve", {**ids, "items": wanted}).status == 201
    assert shop.post(INVENTARIO, "/api/products/commit", ids).status == 200
    shop.restart("inventario-worker")
    shop.post(*WAYS[style], {**shop.checkout_body(cart), "saga_id": frozen["saga_id"]})
    shop.know(frozen["saga_id"], style)
    assert shop.ended(frozen["saga_id"])["status"] == "compensated"
    is_whole(shop, cart, frozen["saga_id"], Decimal("2598.00"))
    assert shop.cart_as_it_is(cart)["status"] == "open"


@pytest.mark.parametrize("style", STYLES)
def test_an_order_that_somebody_made_and_confirmed_keeps_no_saga_from_being_run(
    shop: Shop, cheap_and_dear: tuple[int, int], style: str
) -> None:
    """He freezes his cart as the saga service does, which never learns of it, and takes the goods before he paid."""
    cart = shop.cart((cheap_and_dear[1], 1))
    frozen = shop.post(CARRITO, f"/carts/{cart}/checkout", _freeze(style)).body
    ids = {"saga_id": frozen["saga_id"], "cart_id": cart}
    wanted = [{"product_id": cheap_and_dear[1], "quantity": 1}]
    shop.post(INVENTARIO, "/api/products/reserve", {**ids, "items": wanted})
    shop.post(INVENTARIO, "/api/products/commit", ids)
    shop.post(CARRITO, "/orders", {**_ids(frozen), "order_id": frozen["order_id"], "amount": "2598.00"})
    confirmed = shop.post(CARRITO, f"/orders/{frozen['order_id']}/confirm", {"saga_id": frozen["saga_id"]})
    assert (confirmed.status, confirmed.body["status"]) == (200, "confirmed")
    shop.know(frozen["saga_id"], style)
    assert shop.became(frozen["saga_id"]) == COMPLETED
    is_whole(shop, cart, frozen["saga_id"], Decimal("2598.00"))


def _freeze(style: str) -> dict[str, str]:
    return {
        "user_id": USER,
        "payment_method": "credit_card",
        "billing_address": ADDRESS,
        "saga_pattern": style,
    }


def _ids(frozen: Mapping[str, Any]) -> dict[str, str]:
    return {"saga_id": frozen["saga_id"], "cart_id": frozen["id"], "payment_id": frozen["payment_id"]}
