"""carrito's handlers: the events published and the state of order and cart, for each event and history of the saga."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from carrito.models import carts, orders
from shared.event_bus import (
    CheckoutCompleted,
    CheckoutFailed,
    CheckoutInitiated,
    Event,
    InventoryCommitFailed,
    InventoryCommitted,
    InventoryReleased,
    InventoryReserveFailed,
    OrderCancelled,
    OrderCreated,
    OrderCreateFailed,
    OrderCreateRequested,
    Payload,
    PaymentProcessed,
)
from shared.saga.repetition import RepeatedOtherwise
from tests.integration.carrito_client import Carrito, Saga
from tests.integration.reacting import PRICE_MINOR, Carts, Checkout, of

Kinds = Sequence[type[Payload]]
ORDER, SOLD, UNSOLD = PaymentProcessed, InventoryCommitted, InventoryCommitFailed
BACK, NOTHING_HELD = InventoryReleased, InventoryReserveFailed

# Histories of a saga; its cart is frozen in any case.
BEGUN: Kinds = ()
ORDERED = (ORDER,)
CONFIRMED = (ORDER, SOLD)
CANCELLED = (ORDER, UNSOLD)
UNDONE = (ORDER, SOLD, UNSOLD)
CANCELLED_UNHEARD_OF = (UNSOLD,)  # the compensation has overtaken the step
ENDED = (ORDER, UNSOLD, BACK)

CREATED: Kinds = [OrderCreateRequested, OrderCreated]
COMPLETED: Kinds = [CheckoutCompleted]
TURNED: Kinds = [OrderCancelled]
FAILED: Kinds = [CheckoutFailed]


class Row(NamedTuple):
    before: Kinds
    comes: type[Payload]
    says: Kinds
    order: str | None
    cart: str


REFUSED: Kinds = [OrderCreateFailed]

TABLE = [
    Row(BEGUN, ORDER, CREATED, "pending", "checking_out"),
    Row(BEGUN, UNSOLD, TURNED, None, "checking_out"),
    Row(BEGUN, NOTHING_HELD, TURNED, None, "checking_out"),
    Row(BEGUN, BACK, FAILED, None, "open"),
    Row(ORDERED, ORDER, CREATED, "pending", "checking_out"),
    Row(ORDERED, SOLD, COMPLETED, "confirmed", "checked_out"),
    Row(ORDERED, UNSOLD, TURNED, "cancelled", "checking_out"),
    Row(ORDERED, BACK, FAILED, "cancelled", "open"),  # by hand: the payment was not requested
    Row(CONFIRMED, ORDER, CREATED, "confirmed", "checked_out"),
    Row(CONFIRMED, SOLD, COMPLETED, "confirmed", "checked_out"),
    Row(CONFIRMED, UNSOLD, TURNED, "cancelled", "checked_out"),
    Row(CONFIRMED, BACK, FAILED, "cancelled", "open"),  # by hand: money and stock were returned
    *[
        Row(before, comes, says, order, cart)
        for before, order, cart in (
            (CANCELLED, "cancelled", "checking_out"),
            (UNDONE, "cancelled", "checked_out"),
            (ENDED, "cancelled", "open"),
        )
        for comes, says in ((ORDER, REFUSED), (SOLD, TURNED), (UNSOLD, TURNED), (NOTHING_HELD, TURNED))
    ],
    Row(CANCELLED, BACK, FAILED, "cancelled", "open"),
    Row(UNDONE, BACK, FAILED, "cancelled", "open"),
    Row(ENDED, BACK, FAILED, "cancelled", "open"),
    Row(CANCELLED_UNHEARD_OF, ORDER, REFUSED, None, "checking_out"),
    Row(CANCELLED_UNHEARD_OF, UNSOLD, TURNED, None, "checking_out"),
    Row(CANCELLED_UNHEARD_OF, BACK, FAILED, None, "open"),
]


def _id(row: Row) -> str:
    return f"{', '.join(each.__name__ for each in row.before) or 'begun'}; then {row.comes.__name__}"


class Orders(Carts):
    """carrito, by its tables."""

    def checkout(self, quantity: int = 2) -> Checkout:
        """Return a checkout whose cart is frozen."""
        return of(self.begin(self.open(1, quantity)).payload)

    def order(self, checkout: Checkout) -> str | None:
        with self.transaction() as connection:
            return connection.scalar(select(orders.c.status).where(orders.c.saga_id == checkout.saga_id))

    def cart(self, checkout: Checkout) -> str | None:
        with self.transaction() as connection:
            return connection.scalar(select(carts.c.status).where(carts.c.id == checkout.cart_id))


@pytest.fixture
def shop(service_client: Callable[..., FlaskClient]) -> Orders:
    return Orders(service_client("carrito"))


@pytest.fixture
def http(service_client: Callable[..., FlaskClient]) -> Carrito:
    return Carrito(service_client("carrito"))


@pytest.mark.parametrize("row", TABLE, ids=_id)
def test_what_was_before_and_what_comes_decide_what_is_said_and_what_becomes_of_order_and_cart(
    shop: Orders, row: Row
) -> None:
    """The same event again publishes nothing."""
    checkout = shop.checkout()
    for kind in row.before:
        shop.says(checkout.says(kind))
    event = Event(checkout.says(row.comes))
    following = shop.take([event])
    assert [type(each.payload) for each in following] == list(row.says)
    assert {each.cause for each in following} <= {event.id}
    assert shop.take([event]) == []
    assert (shop.order(checkout), shop.cart(checkout)) == (row.order, row.cart)


class ByHand(NamedTuple):
    """What was requested over HTTP after some events, and what is published on another event."""

    before: Kinds
    by_hand: Sequence[str]
    comes: type[Payload]
    says: Kinds


BY_HAND = [
    ByHand(BEGUN, ["order"], ORDER, CREATED),
    ByHand(BEGUN, ["order", "cancel"], ORDER, REFUSED),
    ByHand(BEGUN, ["cancel"], ORDER, REFUSED),
    ByHand(ORDERED, ["confirm"], SOLD, COMPLETED),
    ByHand(ORDERED, ["cancel"], ORDER, REFUSED),
    ByHand(ORDERED, ["cancel"], SOLD, TURNED),
    ByHand(ORDERED, ["cancel"], UNSOLD, TURNED),
    ByHand(CONFIRMED, ["cancel"], UNSOLD, TURNED),
    ByHand(CONFIRMED, ["cancel"], BACK, FAILED),
    ByHand(CONFIRMED, ["cancel", "release"], UNSOLD, TURNED),
    ByHand(CONFIRMED, ["cancel", "release"], BACK, FAILED),
]


@pytest.mark.parametrize("case", BY_HAND)
def test_what_was_done_or_undone_by_hand_before_stops_no_saga(shop: Orders, http: Carrito, case: ByHand) -> None:
    checkout = shop.checkout()
    for kind in case.before:
        shop.says(checkout.says(kind))
    saga = Saga(checkout.cart_id, checkout.saga_id)
    saga.order_id = checkout.order_id
    named = {"payment_id": checkout.payment_id, "billing_address": "Main St 1"}
    for what in case.by_hand:
        answer = http.order(saga, **named) if what == "order" else getattr(http, what)(saga)
        assert answer.status_code in {200, 201}, answer.json
    assert [type(each) for each in shop.says(checkout.says(case.comes))] == list(case.says)


def test_a_checkout_begins_with_all_that_the_others_need(shop: Orders) -> None:
    cart_id = shop.open(7, 3)
    begun = shop.begin(cart_id, "debit_card").payload
    expected = replace(of(begun), product_id=7, quantity=3, payment_method="debit_card", user_id="ana", cart_id=cart_id)
    assert begun == expected.says(CheckoutInitiated)


def test_an_order_is_said_with_its_payment_and_is_the_carts(shop: Orders, http: Carrito) -> None:
    checkout = shop.checkout(quantity=3)
    assert shop.says(checkout.says(ORDER)) == [checkout.says(OrderCreateRequested), checkout.says(OrderCreated)]
    order = http.get(f"/orders/{checkout.order_id}").json
    assert order is not None
    assert (order["payment_id"], order["billing_address"]) == (str(checkout.payment_id), "Main St 1")
    assert (order["total"], len(order["items"])) == (3 * PRICE_MINOR / 100, 1)


def test_the_end_names_the_order(shop: Orders) -> None:
    checkout = shop.checkout()
    shop.says(checkout.says(ORDER))
    assert shop.says(checkout.says(SOLD)) == [checkout.says(CheckoutCompleted)]


@pytest.mark.parametrize(
    ("before", "comes", "then"),
    [
        (BEGUN, UNSOLD, OrderCancelled),
        (ORDERED, UNSOLD, OrderCancelled),
        (BEGUN, NOTHING_HELD, OrderCancelled),
        (CANCELLED, BACK, CheckoutFailed),
    ],
)
def test_the_reason_is_passed_on(shop: Orders, before: Kinds, comes: type[Payload], then: type[Payload]) -> None:
    checkout = shop.checkout()
    for kind in before:
        shop.says(checkout.says(kind))
    assert shop.says(checkout.says(comes)) == [checkout.says(then)]


def test_an_order_of_a_cart_that_another_saga_has_is_refused_and_its_saga_ends_without_touching_the_other(
    shop: Orders, http: Carrito
) -> None:
    """Somebody released the cart meanwhile, and checked it out again."""
    first = shop.checkout()
    assert http.post(f"/carts/{first.cart_id}/release", {"saga_id": first.saga_id}).status_code == 200
    second = shop.begin(first.cart_id)
    [failed] = shop.says(first.says(ORDER))
    assert failed == first.says(OrderCreateFailed, reason=f"create_order of saga {first.saga_id} was compensated")
    assert shop.says(first.says(ORDER)) == [failed], "again"
    assert shop.says(first.says(UNSOLD)) == [first.says(OrderCancelled)]
    assert shop.says(first.says(BACK)) == [first.says(CheckoutFailed)]
    assert (shop.order(first), http.cart(first.cart_id)["saga_id"]) == (None, str(second.saga_id))


@pytest.mark.parametrize("field", ["order_id", "payment_id", "cart_id"])
def test_an_event_that_contradicts_the_checkout_is_a_fault_and_makes_no_order(shop: Orders, field: str) -> None:
    """The event becomes a dead letter; the saga continues with its own."""
    checkout, other = shop.checkout(), shop.checkout()
    with pytest.raises(RepeatedOtherwise):
        shop.says(replace(checkout, **{field: getattr(other, field)}).says(ORDER))
    assert shop.order(checkout) is None
    assert [type(each) for each in shop.says(checkout.says(ORDER))] == list(CREATED)
    with pytest.raises(RepeatedOtherwise):
        shop.says(replace(checkout, **{field: getattr(other, field)}).says(ORDER))


def test_an_order_is_not_made_when_what_was_paid_is_not_its_total(shop: Orders) -> None:
    checkout = shop.checkout()
    paid = checkout.says(ORDER)
    for wrong in ({"amount_minor": 1}, {"currency": "USD"}):
        with pytest.raises(RepeatedOtherwise):
            shop.says(paid.model_copy(update=wrong))
    assert shop.order(checkout) is None


def test_of_many_sagas_at_once_each_has_an_answer_of_its_own(shop: Orders) -> None:
    """One was cancelled, one is repeated; the others are created."""
    fine, cancelled, again, other = (shop.checkout() for _ in range(4))
    shop.says(cancelled.says(UNSOLD), again.says(ORDER))
    said = shop.says(*[each.says(ORDER) for each in (fine, cancelled, again, other)])
    assert [(each.saga_id, type(each)) for each in said] == [
        *((fine.saga_id, kind) for kind in CREATED),
        (cancelled.saga_id, OrderCreateFailed),
        *((again.saga_id, kind) for kind in CREATED),
        *((other.saga_id, kind) for kind in CREATED),
    ]
    shop.says(other.says(UNSOLD))
    said = shop.says(*[each.says(SOLD) for each in (other, fine)])
    gone = f"order {other.order_id} was cancelled"
    assert said == [other.says(OrderCancelled, reason=gone), fine.says(CheckoutCompleted)]
    said = shop.says(*[each.says(UNSOLD) for each in (again, cancelled, fine, other)])
    assert [each.saga_id for each in said] == [each.saga_id for each in (again, cancelled, fine, other)]
    said = shop.says(*[each.says(BACK) for each in (fine, other, again)])
    assert [each.saga_id for each in said] == [fine.saga_id, other.saga_id, again.saga_id]
    assert {shop.cart(each) for each in (fine, other, again)} == {"open"}


def test_a_sale_of_an_order_that_there_is_not_is_a_fault_and_not_a_fact(shop: Orders) -> None:
    """No stock is sold before the order exists: nothing is published, and a person has to look."""
    checkout = shop.checkout()
    with pytest.raises(Exception, match="there is no order"):
        shop.says(checkout.says(SOLD))


def test_a_cart_that_was_opened_again_is_not_touched_by_what_comes_late(shop: Orders) -> None:
    """Its first saga failed; its second one is running."""
    first = shop.checkout()
    shop.says(first.says(NOTHING_HELD))
    shop.says(first.says(BACK))
    second = shop.begin(first.cart_id)
    late = [shop.says(first.says(kind)) for kind in (UNSOLD, BACK)]
    assert all({type(each) for each in said} <= {OrderCancelled, CheckoutFailed} for said in late)
    assert shop.cart(first) == "checking_out"
    assert [type(each) for each in shop.says(of(second.payload).says(ORDER))] == list(CREATED)


def test_what_was_not_committed_has_not_happened(shop: Orders) -> None:
    """The worker died; the event comes again, as if for the first time."""
    checkout = shop.checkout()
    event = Event(checkout.says(ORDER))
    assert shop.take([event], dies=True) == []
    assert shop.order(checkout) is None
    assert [type(each.payload) for each in shop.take([event])] == list(CREATED)
