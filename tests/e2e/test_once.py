"""One checkout, however often it is requested: with idempotency keys, and with many requests at once."""

from collections import Counter
from contextlib import ExitStack
from functools import partial
from uuid import uuid4

import pytest

from shared.testing import concurrently
from tests.e2e.shop import CARRITO, COMPLETED, DECLINED, ORCHESTRATOR, SOLD_OUT, WAYS_IN, Shop, problem

BOTH_WAYS = pytest.mark.parametrize("way", WAYS_IN)


def sagas_of(shop: Shop, cart: str) -> list[str]:
    """Return every saga that a cart ever had."""
    return [saga["saga_id"] for saga in shop.sagas(cart_id=cart)["items"]]


@BOTH_WAYS
def test_the_same_request_under_the_same_key_is_the_same_saga_with_the_same_answer(shop: Shop, way: str) -> None:
    cart, key = shop.cart((shop.product(), 1)), uuid4().hex
    first = shop.checkout(cart, way=way, Idempotency_Key=key)
    assert first.status == 202
    assert shop.became(first.body["saga_id"]) == COMPLETED
    for same_key in (key, f'"{key}"'):
        again = shop.checkout(cart, way=way, Idempotency_Key=same_key)
        assert (again.status, again.body, again.headers["Location"]) == (202, first.body, first.headers["Location"])
    assert sagas_of(shop, cart) == [first.body["saga_id"]]


@BOTH_WAYS
def test_a_key_repeated_after_the_saga_was_compensated_begins_no_other(shop: Shop, way: str) -> None:
    cart, key = shop.cart((shop.product(), 1)), uuid4().hex
    first = shop.checkout(cart, "declined_card", way, Idempotency_Key=key)
    assert shop.became(first.body["saga_id"]) == DECLINED
    again = shop.checkout(cart, "declined_card", way, Idempotency_Key=key)
    assert again.body["saga_id"] == first.body["saga_id"]
    assert shop.cart_as_it_is(cart)["status"] == "open"
    assert sagas_of(shop, cart) == [first.body["saga_id"]]


@BOTH_WAYS
def test_the_same_key_with_another_body_is_refused_and_nothing_begins(shop: Shop, way: str) -> None:
    product, key = shop.product(), uuid4().hex
    cart, other = shop.cart((product, 1)), shop.cart((product, 1))
    saga_id = shop.checkout(cart, way=way, Idempotency_Key=key).body["saga_id"]
    problem(shop.checkout(cart, "paypal", way, Idempotency_Key=key), 422)
    problem(shop.checkout(other, way=way, Idempotency_Key=key), 422)
    assert (sagas_of(shop, cart), sagas_of(shop, other)) == ([saga_id], [])


@BOTH_WAYS
def test_many_at_once_under_one_key_are_one_saga(shop: Shop, way: str) -> None:
    cart, key = shop.cart((shop.product(), 1)), uuid4().hex
    replies = concurrently(*[partial(shop.checkout, cart, way=way, Idempotency_Key=key)] * 12)
    accepted = [reply for reply in replies if reply.status == 202]
    assert accepted
    assert {reply.body["saga_id"] for reply in accepted} == set(sagas_of(shop, cart))
    for reply in replies:
        if reply.status != 202:
            assert problem(reply, 409)["type"] == "/problems/key-in-use"
    assert shop.became(accepted[0].body["saga_id"]) == COMPLETED


@BOTH_WAYS
def test_a_refusal_is_not_kept_under_the_key(shop: Shop, way: str) -> None:
    """The IETF draft keeps the first answer of a processed request; a refused one changed nothing."""
    product, key = shop.product(), uuid4().hex
    cart = shop.cart()
    problem(shop.checkout(cart, way=way, Idempotency_Key=key), 409)
    shop.post(CARRITO, f"/carts/{cart}/items", {"product_id": product, "quantity": 1})
    reply = shop.checkout(cart, way=way, Idempotency_Key=key)
    assert reply.status == 202
    assert shop.became(reply.body["saga_id"]) == COMPLETED


def test_one_cart_checked_out_many_times_at_once_has_one_saga(shop: Shop) -> None:
    """At both ways in."""
    product = shop.product(quantity=100)
    cart = shop.cart((product, 1))
    replies = concurrently(*[partial(shop.checkout, cart, way=way) for way in (CARRITO, ORCHESTRATOR) * 10])
    (saga_id,) = [reply.body["saga_id"] for reply in replies if reply.status == 202]
    refused = [problem(reply, 409)["saga_id"] for reply in replies if reply.status != 202]
    assert refused == [saga_id] * 19
    assert sagas_of(shop, cart) == [saga_id]
    assert shop.became(saga_id) == COMPLETED
    assert shop.stock(product) == (99, 0, 1)


def test_a_cart_never_has_two_live_sagas(shop: Shop) -> None:
    """Each declined checkout opens the cart for the next one, while many are requested."""
    product = shop.product(quantity=100)
    cart = shop.cart((product, 1))
    replies = concurrently(
        *[partial(shop.checkout, cart, "declined_card", way) for way in (CARRITO, ORCHESTRATOR) * 10]
    )
    accepted = [reply.body["saga_id"] for reply in replies if reply.status == 202]
    refused = [problem(reply, 409)["saga_id"] for reply in replies if reply.status != 202]
    assert sorted(sagas_of(shop, cart)) == sorted(accepted)
    assert set(refused) <= set(accepted)
    shop.ended(max(accepted))  # ids sort by time
    opened = [shop.timeline(saga_id, step="release_cart")[-1] for saga_id in sorted(accepted)]
    begun = [shop.saga(saga_id) for saga_id in sorted(accepted)]
    for before, following in zip(opened, begun[1:], strict=False):
        assert before["started_at"] < following["created_at"]
    assert shop.stock(product) == (100, 0, 0)


def test_fifty_checkouts_at_once_for_a_stock_of_ten_sell_ten(shop: Shop) -> None:
    product = shop.product(quantity=10)
    carts = [shop.cart((product, 1)) for _ in range(50)]
    sagas = concurrently(*[partial(shop.begin, cart) for cart in carts])
    assert Counter(map(shop.became, sagas)) == {COMPLETED: 10, SOLD_OUT: 40}
    assert shop.stock(product) == (0, 0, 10)


def test_what_forty_who_cannot_pay_let_go_is_sold_to_ten_who_can(shop: Shop) -> None:
    product = shop.product(quantity=10)
    purchases = [(shop.cart((product, 1)), method) for method in ("credit_card", *("declined_card",) * 4) * 10]
    sagas = concurrently(*[partial(shop.begin, *checkout_body) for checkout_body in purchases])
    for (cart, method), saga_id in zip(purchases, sagas, strict=True):
        became = shop.became(saga_id)
        assert became in {SOLD_OUT, COMPLETED if method == "credit_card" else DECLINED}
        if method == "credit_card" and became == SOLD_OUT:  # the stock was held by another saga then
            shop.until_quiet()
            assert shop.became(shop.begin(cart)) == COMPLETED
    assert shop.stock(product) == (0, 0, 10)


def test_more_at_once_than_there_are_threads_do_not_wait_for_each_other(shop: Shop) -> None:
    """A checkout at carrito calls the orchestrator; one at the orchestrator calls carrito."""
    product = shop.product()
    carts = [shop.cart((product, 1)) for _ in range(80)]
    ways = (CARRITO, ORCHESTRATOR) * 40
    with ExitStack() as afterwards:
        afterwards.callback(shop.until_quiet)
        replies = concurrently(*[partial(shop.checkout, cart, way=way) for cart, way in zip(carts, ways, strict=True)])
        assert Counter(reply.status for reply in replies) == {202: 80}
