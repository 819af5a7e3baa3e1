"""The results of a choreographed checkout: statuses of the saga, its steps and the order; the money, stock and cart."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from shared.http.client import Reply
from shared.ids import new_id
from shared.saga.states import SagaStatus, StepStatus
from shared.testing import wait_until
from tests.e2e.shop import (
    CARRITO,
    CHOREOGRAPHED,
    CHOREOGRAPHY,
    COMPLETED,
    DECLINED,
    INVENTARIO,
    ORCHESTRATED,
    PAGOS,
    PRICE,
    SOLD_OUT,
    UNDONE,
    USER,
    Became,
    Shop,
    attempts_of,
    problem,
    steps_of,
)

STEPS = ("reserve_inventory", "process_payment", "create_order", "commit_inventory")
WORKERS = {service: f"{service}-worker" for service in (CARRITO, INVENTARIO, PAGOS)}
BOTH_WAYS = pytest.mark.parametrize("way", [CARRITO, CHOREOGRAPHY])
BOTH_STYLES = (ORCHESTRATED, CHOREOGRAPHED)


@pytest.fixture(scope="module")
def shop_settings(broker_url: str) -> dict[str, Any]:
    return {"rabbitmq_url": broker_url}


def begin(shop: Shop, cart: str, method: str = "credit_card", way: str = CARRITO) -> str:
    return shop.begin(cart, method, way, CHOREOGRAPHED)


def until_told(shop: Shop, saga_id: str, event: str) -> None:
    """Wait until saga_choreography has recorded this event of a saga."""
    wait_until(lambda: shop.timeline(saga_id, event=event), f"{event} of {saga_id}")


@BOTH_WAYS
def test_a_success_sells_captures_confirms_and_closes_the_cart(shop: Shop, way: str) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    saga_id = begin(shop, cart, way=way)
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == COMPLETED
    assert steps_of(saga) == dict.fromkeys(STEPS, "succeeded")
    assert attempts_of(saga) == dict.fromkeys(STEPS, 1)
    assert (saga["error"], saga["total"]) == (None, 2 * Decimal(PRICE))
    assert shop.stock(product) == (8, 0, 2)
    order = shop.get(CARRITO, f"/orders/{saga['order_id']}").body
    assert (order["total"], order["payment_id"], order["user_id"]) == (2 * Decimal(PRICE), saga["payment_id"], USER)
    (payment,) = shop.get(PAGOS, f"/api/v1/payments/saga/{cart}").body["items"]
    assert (payment["id"], payment["amount"], payment["refunded"]) == (saga["payment_id"], 2 * Decimal(PRICE), 0)
    assert shop.cart_as_it_is(cart)["saga_id"] == saga_id


@BOTH_WAYS
@pytest.mark.parametrize("method", ["declined_card", "wallet"])
def test_a_payment_that_is_declined_gives_the_stock_back_and_opens_the_cart(shop: Shop, way: str, method: str) -> None:
    """Also from an empty wallet."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    saga_id = begin(shop, cart, method, way)
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == DECLINED
    assert steps_of(saga) == dict(zip(STEPS, ("compensated", "failed", "skipped", "skipped"), strict=True))
    assert saga["error"].startswith("process_payment: ")
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(begin(shop, cart)) == COMPLETED


@BOTH_WAYS
def test_a_shortage_takes_nothing_and_opens_the_cart(shop: Shop, way: str) -> None:
    plenty, scarce = shop.product(quantity=10), shop.product(quantity=3)
    cart = shop.cart((plenty, 1), (scarce, 2))
    assert shop.became(shop.buy(scarce, 2, style=CHOREOGRAPHED)) == COMPLETED
    saga_id = begin(shop, cart, way=way)
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == SOLD_OUT
    assert steps_of(saga) == dict(zip(STEPS, ("failed", "skipped", "skipped", "skipped"), strict=True))
    assert saga["error"] == f"reserve_inventory: product {scarce}: 2 wanted, 1 available"
    assert (shop.stock(plenty), shop.stock(scarce)) == ((10, 0, 0), (1, 0, 2))


def test_a_hold_that_is_over_when_its_order_comes_turns_the_saga_back_in_full(shop: Shop) -> None:
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    shop.restart(WORKERS[INVENTARIO], HOLD_SECONDS="0.2")
    shop.system.freeze(WORKERS[PAGOS])
    saga_id = begin(shop, cart)
    until_told(shop, saga_id, "inventory.reserved")
    wait_until(lambda: shop.stock(product) == (10, 0, 0), "the hold is over")
    shop.system.thaw(WORKERS[PAGOS])
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == UNDONE
    assert steps_of(saga) == dict(zip(STEPS, ("compensated", "compensated", "compensated", "failed"), strict=True))
    assert saga["error"] == f"commit_inventory: the reservation of saga {saga_id} is expired"


def test_an_order_that_cannot_be_made_is_refunded_and_its_cart_left_to_the_saga_that_has_it(shop: Shop) -> None:
    """Somebody released the cart during its checkout, and checked it out again."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    shop.system.freeze(WORKERS[PAGOS])
    first = begin(shop, cart)
    until_told(shop, first, "inventory.reserved")
    assert shop.post(CARRITO, f"/carts/{cart}/release", {"saga_id": first}).status == 200
    second = begin(shop, cart)
    shop.system.thaw(WORKERS[PAGOS])
    saga = shop.ended(first)
    assert steps_of(saga) == dict(zip(STEPS, ("compensated", "compensated", "skipped", "skipped"), strict=True))
    assert saga["error"] == f"create_order of saga {first} was compensated"
    assert shop.became(second) == COMPLETED
    assert shop.became(first) == Became("compensated", "checked_out", (), ("refunded",), ("released",))
    assert shop.stock(product) == (8, 0, 2)


def test_a_checkout_that_is_cancelled_before_anybody_heard_of_it_never_takes_anything(shop: Shop) -> None:
    """The request to compensate it overtakes its first event, which waits in carrito's outbox."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    shop.system.kill(WORKERS[CARRITO])
    saga_id = begin(shop, cart)
    assert shop.compensate(saga_id).status == 202
    until_told(shop, saga_id, "inventory.reserve.failed")
    shop.restart(WORKERS[CARRITO])
    saga = shop.ended(saga_id)
    assert shop.became(saga_id) == SOLD_OUT
    assert set(steps_of(saga).values()) == {"skipped"}
    assert saga["error"] == "changed my mind"
    wait_until(lambda: shop.timeline(saga_id, event="checkout.initiated"), "its beginning is told after its end")
    shop.until_quiet()
    assert shop.stock(product) == (10, 0, 0)
    assert shop.became(begin(shop, cart)) == COMPLETED


def test_a_checkout_that_is_cancelled_while_it_is_being_paid_is_turned_back(shop: Shop) -> None:
    """The order is refused before it is requested; the payment is made, and refunded."""
    product = shop.product(quantity=10)
    cart = shop.cart((product, 2))
    shop.system.freeze(WORKERS[PAGOS])
    saga_id = begin(shop, cart)
    until_told(shop, saga_id, "inventory.reserved")
    assert shop.compensate(saga_id).body["status"] == "compensating"
    until_told(shop, saga_id, "order.cancelled")
    assert shop.stock(product) == (10, 0, 0)
    shop.system.thaw(WORKERS[PAGOS])
    assert shop.ended(saga_id)["error"] == "changed my mind"
    assert shop.became(saga_id) == Became("compensated", "open", (), ("refunded",), ("released",))
    assert shop.became(begin(shop, cart)) == COMPLETED


def test_a_completed_checkout_that_many_want_undone_is_undone_once(shop: Shop) -> None:
    product = shop.product(quantity=10)
    saga_id = shop.buy(product, 2, style=CHOREOGRAPHED)
    assert shop.became(saga_id) == COMPLETED
    assert [shop.compensate(saga_id).status for _ in range(3)] == [202] * 3
    assert shop.became(saga_id) == UNDONE
    assert shop.compensate(saga_id).body["status"] == "compensated"
    assert len(shop.timeline(saga_id, event="checkout.cancel.requested")) == 1
    assert shop.stock(product) == (10, 0, 0)


# Both styles look the same to a client.

OWN = {"saga_pattern", "error", "detail", "compensation_attempts"}  # texts and counts that differ between the styles
WORDS = {*SagaStatus, *StepStatus, *STEPS, "checking_out", "checked_out"}


def shape(value: Any) -> Any:
    """Reduce an answer to what is the same for every saga: names, words and counts, without ids, times and texts.

    An orchestrator requests the compensation of every step, done or not, so it counts more requests.
    """
    if isinstance(value, Mapping):
        return {name: None if name in OWN else shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return value if isinstance(value, int | None) or value in WORDS else type(value)


def looks(reply: Reply) -> tuple[int, Any, bool, bool]:
    """Reduce an answer to what its client sees."""
    return reply.status, shape(reply.body), "Location" in reply.headers, "Preference-Applied" in reply.headers


def in_both(shop: Shop, carts: list[str], method: str = "credit_card", user: str = USER, **headers: str) -> list[Reply]:
    """Return the answers to the same request, with a cart for each style."""
    return [
        shop.checkout(cart, method, user=user, style=style, **headers)
        for cart, style in zip(carts, BOTH_STYLES, strict=True)
    ]


def test_an_accepted_checkout_is_answered_the_same_in_either_style(shop: Shop) -> None:
    product = shop.product()
    one, other = in_both(shop, [shop.cart((product, 1)) for _ in range(2)])
    assert looks(one) == looks(other)
    assert (one.body["saga_pattern"], other.body["saga_pattern"]) == BOTH_STYLES
    assert [shop.became(reply.body["saga_id"]) for reply in (one, other)] == [COMPLETED, COMPLETED]


@pytest.mark.parametrize("method", ["credit_card", "declined_card"])
def test_a_checkout_that_is_waited_for_is_answered_the_same_in_either_style(shop: Shop, method: str) -> None:
    product = shop.product()
    one, other = in_both(shop, [shop.cart((product, 1)) for _ in range(2)], method, Prefer="wait=20")
    assert one.status == 200
    assert looks(one) == looks(other)


def test_a_shortage_looks_the_same_in_either_style(shop: Shop) -> None:
    scarce = shop.product(quantity=2)
    carts = [shop.cart((scarce, 2)) for _ in range(2)]
    assert shop.became(shop.buy(scarce)) == COMPLETED
    one, other = in_both(shop, carts, Prefer="wait=20")
    assert one.body["status"] == "compensated"
    assert looks(one) == looks(other)


def test_what_cannot_be_checked_out_is_refused_the_same_in_either_style(shop: Shop) -> None:
    product = shop.product()
    empty = [shop.cart() for _ in range(2)]
    nobodys = [str(new_id()) for _ in range(2)]
    sold = [shop.cart((product, 1)) for _ in range(2)]
    for reply in in_both(shop, sold):
        assert shop.became(reply.body["saga_id"]) == COMPLETED
    for carts, status in ((empty, 409), (nobodys, 404), (sold, 409)):
        one, other = in_both(shop, carts)
        assert shape(problem(one, status)) == shape(problem(other, status))
    assert in_both(shop, sold, method="gold")[0].status == in_both(shop, sold, method="gold")[1].status == 422


def test_a_request_that_is_repeated_under_its_key_is_the_same_checkout(shop: Shop) -> None:
    product = shop.product(quantity=10)
    carts, key = [shop.cart((product, 1)) for _ in range(2)], str(new_id())
    for cart, style in zip(carts, BOTH_STYLES, strict=True):
        first, again = (shop.checkout(cart, style=style, Idempotency_Key=f"{key}-{cart}") for _ in range(2))
        assert (first.status, first.body["saga_id"]) == (again.status, again.body["saga_id"])
        assert shop.became(first.body["saga_id"]) == COMPLETED
    assert shop.stock(product) == (8, 0, 2)
