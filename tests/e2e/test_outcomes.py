"""The results of a checkout: statuses of the saga, its steps, the order, the money, the stock and the cart."""

from decimal import Decimal
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from shared.http.client import Reply
from shared.ids import new_id
from tests.e2e.shop import (
    CARRITO,
    COMPLETED,
    DECLINED,
    INVENTARIO,
    ORCHESTRATOR,
    PAGOS,
    PRICE,
    SOLD_OUT,
    UNDONE,
    USER,
    WAYS_IN,
    Shop,
    attempts_of,
    problem,
    steps_of,
)
from tests.system import temporal

STEPS = ("reserve_inventory", "process_payment", "create_order", "commit_inventory")
BOTH_WAYS = pytest.mark.parametrize("way", WAYS_IN)


@pytest.fixture(scope="module", params=temporal.BOTH)
def shop_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Run these tests on both engines."""
    return {"env": {temporal.ENGINE: request.param}}


def assert_nothing_began(shop: Shop, cart: str) -> None:
    """Check that no saga knows the cart, and nothing is held for it."""
    assert shop.sagas(cart_id=cart)["items"] == []
    assert shop.get(INVENTARIO, f"/api/products/reservations/{cart}").body["items"] == []


def assert_leads_to_its_saga(shop: Shop, way: str, reply: Reply) -> None:
    """Check that the Location of the answer, relative or not, is the saga's."""
    found = requests.get(urljoin(shop.urls[way] + WAYS_IN[way], reply.headers["Location"]), timeout=5)
    assert (found.status_code, found.json()["saga_id"]) == (200, reply.body["saga_id"])


@BOTH_WAYS
def test_a_success_sells_captures_confirms_and_closes_the_cart(shop: Shop, way: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    saga_id = shop.begin(cart, way=way)
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == COMPLETED
    assert steps_of(saga) == dict.fromkeys(STEPS, "succeeded")
    assert attempts_of(saga) == dict.fromkeys(STEPS, 1)
    assert saga["error"] is None
    assert saga["total"] == 2 * Decimal(PRICE)
    assert shop.stock(product) == (8, 0, 2)
    order = shop.get(CARRITO, f"/orders/{saga['order_id']}").body
    assert (order["total"], order["payment_id"], order["user_id"]) == (2 * Decimal(PRICE), saga["payment_id"], USER)
    assert [(line["product_id"], line["quantity"], line["unit_price"]) for line in order["items"]] == [
        (product, 2, Decimal(PRICE))
    ]
    (payment,) = shop.get(PAGOS, f"/api/v1/payments/saga/{cart}").body["items"]
    assert (payment["id"], payment["amount"], payment["refunded"]) == (saga["payment_id"], 2 * Decimal(PRICE), 0)
    assert shop.cart_as_it_is(cart)["saga_id"] == saga_id


@BOTH_WAYS
@pytest.mark.parametrize("method", ["declined_card", "invalid_card", "insufficient_funds"])
def test_a_declined_card_gives_the_stock_back_and_opens_the_cart(shop: Shop, way: str, method: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    saga_id = shop.begin(cart, method, way)
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == DECLINED
    assert steps_of(saga) == dict(zip(STEPS, ("compensated", "failed", "skipped", "skipped"), strict=True))
    assert "402" in saga["error"]
    assert saga["order_id"] is None
    assert shop.stock(product) == (10, 0, 0)
    assert shop.cart_as_it_is(cart)["saga_id"] is None


@BOTH_WAYS
def test_a_shortage_takes_nothing_and_opens_the_cart(shop: Shop, way: str) -> None:
    plenty, scarce = shop.product(quantity=10), shop.product(quantity=3)
    cart = shop.cart((plenty, 1), (scarce, 2))
    assert shop.became(shop.buy(scarce, 2)) == COMPLETED
    saga_id = shop.begin(cart, way=way)
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == SOLD_OUT
    assert steps_of(saga) == dict(zip(STEPS, ("failed", "skipped", "skipped", "skipped"), strict=True))
    assert f"product {scarce}: 2 wanted, 1 available" in saga["error"]
    assert (saga["payment_id"], saga["order_id"]) == (None, None)
    assert (shop.stock(plenty), shop.stock(scarce)) == ((10, 0, 0), (1, 0, 2))


def test_a_wallet_pays_while_it_holds_enough(shop: Shop) -> None:
    user, product = "wallet-owner", shop.product()
    shop.deposit("15.00", user)

    def buys() -> str:
        reply = shop.checkout(shop.cart((product, 1), user=user), "wallet", user=user)
        return str(reply.body["saga_id"])

    assert shop.became(buys()) == COMPLETED
    assert shop.became(buys()) == DECLINED
    assert shop.get(PAGOS, f"/api/v1/wallets/{user}").body["balance"] == Decimal("15.00") - Decimal(PRICE)


def test_a_cart_can_be_tried_again_until_it_is_checked_out(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    assert shop.became(shop.begin(cart, "declined_card")) == DECLINED
    assert shop.became(shop.begin(cart, "invalid_card", ORCHESTRATOR)) == DECLINED
    assert shop.became(shop.begin(cart)) == COMPLETED
    assert shop.stock(product) == (9, 0, 1)
    problem(shop.checkout(cart), 409)


def test_a_cart_that_was_opened_again_can_be_changed_and_checked_out(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.ended(shop.begin(cart, "declined_card"))
    more = {"product_id": product, "quantity": 2}
    assert shop.post(CARRITO, f"/carts/{cart}/items", more).status == 201
    assert shop.ended(shop.begin(cart))["total"] == 3 * Decimal(PRICE)
    assert shop.stock(product) == (7, 0, 3)


def test_the_price_is_the_one_that_the_cart_showed(shop: Shop) -> None:
    product = shop.product(price="0.07")
    cart = shop.cart((product, 3))
    assert shop.cart_as_it_is(cart)["total"] == Decimal("0.21")
    assert shop.ended(shop.begin(cart))["total"] == Decimal("0.21")


@BOTH_WAYS
def test_preferring_to_wait_gets_the_end_of_the_saga(shop: Shop, way: str) -> None:
    product = shop.product()
    for method, status in (("credit_card", "completed"), ("declined_card", "compensated")):
        reply = shop.checkout(shop.cart((product, 1)), method, way, Prefer="wait=20")
        assert (reply.status, reply.body["status"]) == (200, status)
        assert_leads_to_its_saga(shop, way, reply)
        assert reply.headers["Preference-Applied"] == "wait=20"
        assert reply.body["steps"] == shop.saga(reply.body["saga_id"])["steps"]


@BOTH_WAYS
def test_without_waiting_the_answer_is_that_it_was_accepted(shop: Shop, way: str) -> None:
    cart = shop.cart((shop.product(), 1))
    reply = shop.checkout(cart, way=way)
    assert (reply.status, reply.body["status"], reply.body["cart_id"]) == (202, "pending", cart)
    assert_leads_to_its_saga(shop, way, reply)
    shop.ended(reply.body["saga_id"])


@BOTH_WAYS
def test_waiting_ends_when_the_time_is_over(shop: Shop, way: str) -> None:
    cart = shop.cart((shop.product(), 1))
    shop.system.freeze(PAGOS)
    reply = shop.checkout(cart, way=way, Prefer="wait=1")
    assert (reply.status, reply.body["status"] in {"pending", "running"}) == (202, True)
    shop.until_requested(reply.body["saga_id"], "process_payment")
    shop.system.thaw(PAGOS)
    assert shop.became(reply.body["saga_id"]) == COMPLETED


@BOTH_WAYS
@pytest.mark.parametrize("whose", ["nobody", "somebody else"])
def test_a_cart_that_is_not_the_users_is_not_found_and_nothing_begins(shop: Shop, way: str, whose: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1), user="bob") if whose == "somebody else" else str(new_id())
    problem(shop.checkout(cart, way=way), 404)
    assert_nothing_began(shop, cart)
    assert shop.stock(product) == (10, 0, 0)


@BOTH_WAYS
def test_an_empty_cart_is_refused_and_nothing_begins(shop: Shop, way: str) -> None:
    cart = shop.cart()
    problem(shop.checkout(cart, way=way), 409)
    assert_nothing_began(shop, cart)
    assert shop.cart_as_it_is(cart)["status"] == "open"


@BOTH_WAYS
def test_a_cart_that_is_or_was_checked_out_is_refused_naming_its_saga(shop: Shop, way: str) -> None:
    cart = shop.cart((shop.product(), 1))
    shop.system.freeze(PAGOS)
    saga_id = shop.begin(cart)
    refused = problem(shop.checkout(cart, way=way), 409)
    assert (refused["saga_id"], refused["cart_status"]) == (saga_id, "checking_out")
    shop.system.thaw(PAGOS)
    assert shop.became(saga_id) == COMPLETED
    refused = problem(shop.checkout(cart, way=way), 409)
    assert (refused["saga_id"], refused["cart_status"]) == (saga_id, "checked_out")
    assert [saga["saga_id"] for saga in shop.sagas(cart_id=cart)["items"]] == [saga_id]


def test_a_cart_that_is_checked_out_cannot_be_changed(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    shop.system.freeze(PAGOS)
    saga_id = shop.begin(cart)
    problem(shop.post(CARRITO, f"/carts/{cart}/items", {"product_id": product, "quantity": 1}), 409)
    shop.system.thaw(PAGOS)
    assert shop.ended(saga_id)["total"] == Decimal(PRICE)


def test_the_choreographed_style_is_not_available_and_nothing_begins(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 1))
    refused = problem(
        shop.post(CARRITO, "/checkout/saga", {**shop.checkout_body(cart), "saga_pattern": "choreographed"}), 501
    )
    assert refused["saga_pattern"] == "choreographed"
    assert shop.cart_as_it_is(cart)["status"] == "open"
    assert_nothing_began(shop, cart)
    assert shop.became(shop.begin(cart)) == COMPLETED


def test_undone_means_undone_in_every_service(shop: Shop) -> None:
    """Other tests rely on this: their check tells a compensated sale from one that stands."""
    product = shop.product(quantity=10)
    saga_id = shop.buy(product)
    assert shop.became(saga_id) == COMPLETED
    assert shop.compensate(saga_id).status == 202
    assert shop.became(saga_id) == UNDONE
