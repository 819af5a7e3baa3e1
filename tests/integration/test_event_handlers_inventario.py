"""inventario's handlers: the events published and the state of the stock, for each event and history of the saga."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text

from inventario import service
from inventario.models import reservations
from shared.event_bus import (
    CheckoutInitiated,
    Event,
    InventoryCommitFailed,
    InventoryCommitRequested,
    InventoryCommitted,
    InventoryReleased,
    InventoryReserved,
    InventoryReserveFailed,
    InventoryReserveRequested,
    OrderCreated,
    Payload,
    PaymentFailed,
    PaymentRefunded,
)
from shared.ids import new_id
from shared.saga.repetition import RepeatedOtherwise
from tests.integration.inventario_client import Inventario, Saga
from tests.integration.reacting import Checkout, Reacting

SEEDED, WANTED = 10, 2
BEGIN, SELL, DECLINED, REFUNDED = CheckoutInitiated, OrderCreated, PaymentFailed, PaymentRefunded
LATE, CANCEL, EXPIRY = "a deadline", "a person", "the hold's time is over"  # what ends a saga, or who
Happening = type[Payload] | str
Kinds = Sequence[type[Payload]]

# Histories of a saga, each with the status of its reservation.
NEW: Sequence[Happening] = ()
CANCELLED = (CANCEL,)
HELD = (BEGIN,)
EXPIRED = (BEGIN, EXPIRY)
SOLD = (BEGIN, SELL)
TOO_LATE = (BEGIN, EXPIRY, SELL)
TURNED_BACK = (BEGIN, CANCEL)
SALE_UNDONE = (BEGIN, SELL, CANCEL)
RELEASED = (BEGIN, DECLINED)
ALL_UNDONE = (BEGIN, SELL, CANCEL, REFUNDED)
UNDONE_UNHEARD_OF = (REFUNDED,)  # the compensation has overtaken the step

RESERVE: Kinds = [InventoryReserveRequested, InventoryReserved]
NO_RESERVE: Kinds = [InventoryReserveRequested, InventoryReserveFailed]
SALE: Kinds = [InventoryCommitRequested, InventoryCommitted]
REFUSED_SALE: Kinds = [InventoryCommitRequested, InventoryCommitFailed]


class Row(NamedTuple):
    before: Sequence[Happening]
    comes: Happening
    says: Kinds
    reservation: str | None


# The same by requests over HTTP, as the orchestrator sends them.
BY_HAND = ("reserve by hand", "commit by hand", "unreserve by hand")
RESERVED_BY_HAND, SOLD_BY_HAND, UNRESERVED_BY_HAND = BY_HAND

TABLE = [
    Row(NEW, BEGIN, RESERVE, "held"),
    Row(NEW, SELL, REFUSED_SALE, None),
    Row(NEW, LATE, [InventoryReserveFailed], None),
    Row(NEW, CANCEL, [InventoryReserveFailed], None),
    Row(NEW, DECLINED, [InventoryReleased], None),
    Row(NEW, REFUNDED, [InventoryReleased], None),
    *[Row(CANCELLED, comes, [InventoryReserveFailed], None) for comes in (BEGIN, LATE, CANCEL)],
    Row(UNDONE_UNHEARD_OF, BEGIN, [InventoryReserveFailed], None),
    Row(UNDONE_UNHEARD_OF, LATE, [InventoryCommitFailed], None),
    Row(UNDONE_UNHEARD_OF, CANCEL, [InventoryCommitFailed], None),
    Row(UNDONE_UNHEARD_OF, REFUNDED, [InventoryReleased], None),
    Row(HELD, BEGIN, RESERVE, "held"),
    Row(HELD, SELL, SALE, "committed"),
    Row(HELD, DECLINED, [InventoryReleased], "released"),
    Row(HELD, REFUNDED, [InventoryReleased], "released"),
    Row(HELD, LATE, [InventoryCommitFailed], "released"),
    Row(HELD, CANCEL, [InventoryCommitFailed], "released"),
    Row(EXPIRED, BEGIN, [InventoryReserveFailed], "expired"),
    Row(EXPIRED, SELL, REFUSED_SALE, "released"),
    Row(EXPIRED, DECLINED, [InventoryReleased], "expired"),
    Row(EXPIRED, REFUNDED, [InventoryReleased], "expired"),
    Row(EXPIRED, LATE, [InventoryCommitFailed], "released"),
    Row(EXPIRED, CANCEL, [InventoryCommitFailed], "released"),
    Row(SOLD, BEGIN, RESERVE, "committed"),
    Row(SOLD, SELL, SALE, "committed"),
    Row(SOLD, LATE, [], "committed"),
    Row(SOLD, CANCEL, [InventoryCommitFailed], "released"),
    *[
        Row(before, comes, says, "released")
        for before in (TOO_LATE, TURNED_BACK, SALE_UNDONE, RELEASED, ALL_UNDONE)
        for comes, says in (
            (BEGIN, [InventoryReserveFailed]),
            (SELL, [InventoryCommitFailed]),
            (LATE, [InventoryCommitFailed]),
            (CANCEL, [InventoryCommitFailed]),
            (DECLINED, [InventoryReleased]),
            (REFUNDED, [InventoryReleased]),
        )
    ],
    Row((RESERVED_BY_HAND,), BEGIN, RESERVE, "held"),
    Row((RESERVED_BY_HAND, SOLD_BY_HAND), BEGIN, RESERVE, "committed"),
    Row((BEGIN, SOLD_BY_HAND), SELL, SALE, "committed"),
    Row((BEGIN, SOLD_BY_HAND), CANCEL, [InventoryCommitFailed], "released"),
    Row((BEGIN, SOLD_BY_HAND), LATE, [InventoryCommitFailed], "released"),
    Row((RESERVED_BY_HAND, SOLD_BY_HAND), LATE, [InventoryCommitFailed], "released"),
    Row((BEGIN, SOLD_BY_HAND, SELL), LATE, [], "committed"),
    Row((BEGIN, SELL, SOLD_BY_HAND), LATE, [], "committed"),
    Row((BEGIN, SOLD_BY_HAND, LATE), SELL, [InventoryCommitFailed], "released"),
    Row((UNRESERVED_BY_HAND,), BEGIN, [InventoryReserveFailed], None),
    Row((UNRESERVED_BY_HAND,), CANCEL, [InventoryCommitFailed], None),
    *[
        Row((*before, UNRESERVED_BY_HAND), comes, says, "released")
        for before in (HELD, SOLD)
        for comes, says in (
            (SELL, [InventoryCommitFailed]),
            (LATE, [InventoryCommitFailed]),
            (CANCEL, [InventoryCommitFailed]),
            (REFUNDED, [InventoryReleased]),
        )
    ],
]


def _word(happening: Happening) -> str:
    return happening if isinstance(happening, str) else happening.__name__


def _id(row: Row) -> str:
    return f"{', '.join(map(_word, row.before)) or 'nothing'}; then {_word(row.comes)}"


class Stock(Reacting):
    """inventario, with a product of its own."""

    def __init__(self, client: FlaskClient) -> None:
        super().__init__(client)
        self.http = Inventario(client)

    def happens(self, checkout: Checkout, what: Happening) -> list[Payload]:
        """Let this happen to a saga; return the published payloads."""
        if what == EXPIRY:
            with self.transaction() as connection:
                times = text("UPDATE reservations SET expires_at = now() WHERE saga_id = :saga_id")
                connection.execute(times, {"saga_id": checkout.saga_id})
                service.expire_holds(connection, limit=100)
            return []
        if what in BY_HAND:
            self._by_hand(checkout, what)
            return []
        return self.says(fact(checkout, what))

    def _by_hand(self, checkout: Checkout, what: Happening) -> None:
        saga = Saga(checkout.saga_id, checkout.cart_id)
        if what == RESERVED_BY_HAND:
            answer = self.http.reserve(saga, {checkout.product_id: checkout.quantity})
        else:
            answer = (self.http.commit if what == SOLD_BY_HAND else self.http.unreserve)(saga)
        assert answer.status_code in {200, 201}

    def reservation(self, checkout: Checkout) -> str | None:
        with self.transaction() as connection:
            return connection.scalar(select(reservations.c.status).where(reservations.c.saga_id == checkout.saga_id))


def fact(checkout: Checkout, what: Happening) -> Payload:
    if isinstance(what, str):
        return checkout.cancel(late=what == LATE)
    return checkout.says(what)


def shelves(reservation: str | None) -> tuple[int, int, int]:
    """Return what is available, held and sold for a reservation of two out of ten with this status."""
    held, sold = WANTED * (reservation == "held"), WANTED * (reservation == "committed")
    return SEEDED - held - sold, held, sold


@pytest.fixture
def stock(service_client: Callable[..., FlaskClient]) -> Stock:
    return Stock(service_client("inventario"))


@pytest.fixture
def checkout(stock: Stock) -> Checkout:
    return Checkout(stock.http.add(SEEDED), WANTED)


@pytest.mark.parametrize("row", TABLE, ids=_id)
def test_what_was_before_and_what_comes_decide_what_is_said_and_where_the_stock_is(
    stock: Stock, checkout: Checkout, row: Row
) -> None:
    """The same event again publishes nothing."""
    for happening in row.before:
        stock.happens(checkout, happening)
    event = Event(fact(checkout, row.comes))
    following = stock.take([event])
    assert [type(each.payload) for each in following] == list(row.says)
    assert {each.cause for each in following} <= {event.id}
    assert stock.take([event]) == []
    assert stock.reservation(checkout) == row.reservation
    assert stock.http.stock(checkout.product_id) == shelves(row.reservation)


def test_what_is_reserved_is_passed_on_with_the_bill(stock: Stock, checkout: Checkout) -> None:
    assert stock.says(checkout.says(BEGIN)) == [
        checkout.says(InventoryReserveRequested),
        checkout.says(InventoryReserved),
    ]


def test_a_shortage_is_said_with_its_figures_each_time(stock: Stock, checkout: Checkout) -> None:
    greedy = replace(checkout, quantity=SEEDED + 1)
    short = f"product {checkout.product_id}: {SEEDED + 1} wanted, {SEEDED} available"
    assert stock.says(greedy.says(BEGIN)) == [
        greedy.says(InventoryReserveRequested),
        greedy.says(InventoryReserveFailed, reason=short),
    ]
    stock.http.post(f"/api/products/{checkout.product_id}/restock", {"quantity": 1})
    assert stock.says(greedy.says(BEGIN)) == [greedy.says(InventoryReserveFailed, reason=short)], "though there is now"
    assert [stock.says(fact(greedy, what)) for what in (LATE, CANCEL)] == [[greedy.says(InventoryReserveFailed)]] * 2
    assert stock.http.stock(checkout.product_id) == (SEEDED + 1, 0, 0)


def test_a_product_that_there_is_not_is_said(stock: Stock) -> None:
    nothing = Checkout(product_id=999_999_999)
    assert stock.says(nothing.says(BEGIN)) == [
        nothing.says(InventoryReserveRequested),
        nothing.says(InventoryReserveFailed, reason="there is no product 999999999"),
    ]


def test_lines_of_one_product_are_held_together(stock: Stock, checkout: Checkout) -> None:
    begun = checkout.says(BEGIN)
    assert isinstance(begun, CheckoutInitiated)
    stock.says(begun.model_copy(update={"items": begun.items * 3}))
    assert stock.http.stock(checkout.product_id) == (SEEDED - 6, 6, 0)


def test_a_sale_is_said_with_its_order(stock: Stock, checkout: Checkout) -> None:
    stock.says(checkout.says(BEGIN))
    assert stock.says(checkout.says(SELL)) == [
        checkout.says(InventoryCommitRequested),
        checkout.says(InventoryCommitted),
    ]


@pytest.mark.parametrize("field", ["order_id", "cart_id"])
def test_an_order_that_contradicts_the_checkout_is_a_fault_and_sells_nothing(
    stock: Stock, checkout: Checkout, field: str
) -> None:
    """The event becomes a dead letter; the saga continues with its own."""
    wrong = checkout.says(SELL, **{field: new_id()})
    stock.says(checkout.says(BEGIN))
    with pytest.raises(RepeatedOtherwise):
        stock.says(wrong)
    assert stock.reservation(checkout) == "held"
    assert [type(each) for each in stock.says(checkout.says(SELL))] == SALE
    with pytest.raises(RepeatedOtherwise):
        stock.says(wrong)
    assert stock.reservation(checkout) == "committed"


@pytest.mark.parametrize("field", ["order_id", "cart_id", "quantity", "product_id"])
def test_a_second_beginning_that_differs_from_the_first_is_a_fault(
    stock: Stock, checkout: Checkout, field: str
) -> None:
    other = Checkout(stock.http.add(SEEDED), WANTED + 1)
    stock.says(checkout.says(BEGIN))
    with pytest.raises(RepeatedOtherwise):
        stock.says(replace(checkout, **{field: getattr(other, field)}).says(BEGIN))
    assert stock.http.stock(checkout.product_id) == shelves("held")


def test_a_hold_that_is_over_is_why_the_sale_failed(stock: Stock, checkout: Checkout) -> None:
    stock.happens(checkout, BEGIN)
    stock.happens(checkout, EXPIRY)
    assert stock.says(checkout.says(SELL)) == [
        checkout.says(InventoryCommitRequested),
        checkout.says(InventoryCommitFailed, reason=f"the reservation of saga {checkout.saga_id} is expired"),
    ]


@pytest.mark.parametrize(
    ("before", "comes", "then"),
    [
        (NEW, LATE, InventoryReserveFailed),
        (HELD, LATE, InventoryCommitFailed),
        (SOLD, CANCEL, InventoryCommitFailed),
        (HELD, DECLINED, InventoryReleased),
        (TURNED_BACK, REFUNDED, InventoryReleased),
    ],
)
def test_the_reason_is_passed_on(
    stock: Stock, checkout: Checkout, before: Sequence[Happening], comes: Happening, then: type[Payload]
) -> None:
    for happening in before:
        stock.happens(checkout, happening)
    assert stock.happens(checkout, comes) == [checkout.says(then)]


def test_of_many_sagas_at_once_each_has_an_answer_of_its_own(stock: Stock, checkout: Checkout) -> None:
    """One wants too much, one was cancelled, one is repeated; the others are served."""
    others = [replace(Checkout(checkout.product_id), quantity=1) for _ in range(3)]
    greedy, cancelled, again = replace(Checkout(checkout.product_id), quantity=SEEDED), others[1], others[2]
    stock.happens(cancelled, CANCEL)
    stock.happens(again, BEGIN)
    said = stock.says(*[each.says(BEGIN) for each in (greedy, *others, checkout)])
    assert [(each.saga_id, type(each)) for each in said] == [
        *((greedy.saga_id, kind) for kind in NO_RESERVE),
        *((others[0].saga_id, kind) for kind in RESERVE),
        (cancelled.saga_id, InventoryReserveFailed),
        *((again.saga_id, kind) for kind in RESERVE),
        *((checkout.saga_id, kind) for kind in RESERVE),
    ]
    assert stock.http.stock(checkout.product_id) == (SEEDED - 4, 4, 0)


def test_of_two_that_want_the_last_the_first_has_it(stock: Stock, checkout: Checkout) -> None:
    first, second = (Checkout(checkout.product_id, SEEDED) for _ in range(2))
    said = stock.says(second.says(BEGIN), first.says(BEGIN))
    assert [(each.saga_id, type(each)) for each in said if type(each) is not InventoryReserveRequested] == [
        (second.saga_id, InventoryReserved),
        (first.saga_id, InventoryReserveFailed),
    ]


def test_sales_and_cancellations_of_many_sagas_at_once_are_decided_one_by_one(stock: Stock) -> None:
    product = stock.http.add(100)
    held, expired, sold, turned = (Checkout(product, 1) for _ in range(4))
    for each, before in ((held, HELD), (expired, EXPIRED), (sold, SOLD), (turned, TURNED_BACK)):
        for happening in before:
            stock.happens(each, happening)
    said = stock.says(*[each.says(SELL) for each in (turned, sold, expired, held)])
    assert [(each.saga_id, type(each)) for each in said] == [
        (turned.saga_id, InventoryCommitFailed),
        *((sold.saga_id, kind) for kind in SALE),
        *((expired.saga_id, kind) for kind in REFUSED_SALE),
        *((held.saga_id, kind) for kind in SALE),
    ]
    new = Checkout(product, 1)
    said = stock.says(*[each.cancel(late=False) for each in (new, turned, held, expired, sold)])
    assert [(each.saga_id, type(each)) for each in said] == [
        (new.saga_id, InventoryReserveFailed),
        (turned.saga_id, InventoryCommitFailed),
        (held.saga_id, InventoryCommitFailed),
        (expired.saga_id, InventoryCommitFailed),
        (sold.saga_id, InventoryCommitFailed),
    ]
    assert stock.http.stock(product) == (100, 0, 0)


def test_an_event_that_comes_twice_at_once_is_reacted_to_once(stock: Stock, checkout: Checkout) -> None:
    event = Event(checkout.says(BEGIN))
    assert [type(each.payload) for each in stock.take([event, event])] == RESERVE
    assert stock.http.stock(checkout.product_id) == shelves("held")


def test_what_was_not_committed_has_not_happened(stock: Stock, checkout: Checkout) -> None:
    """The worker died; the event comes again, as if for the first time."""
    event = Event(checkout.says(BEGIN))
    assert stock.take([event], dies=True) == []
    assert stock.reservation(checkout) is None
    assert [type(each.payload) for each in stock.take([event])] == RESERVE
