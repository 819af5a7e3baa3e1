"""pagos's handlers: the events published and the state of the money, for each event and history of the saga."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text

from pagos.models import payments
from shared.event_bus import (
    Event,
    InventoryReserved,
    OrderCancelled,
    OrderCreateFailed,
    Payload,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentRequested,
)
from shared.saga.repetition import RepeatedOtherwise
from tests.integration.pagos_client import Pagos, Saga, new_user
from tests.integration.reacting import PRICE_MINOR, Checkout, Reacting

PAY, CANCELLED, NO_ORDER = InventoryReserved, OrderCancelled, OrderCreateFailed
GOOD, BAD = "credit_card", "declined_card"
TOTAL = 2 * PRICE_MINOR
Kinds = Sequence[type[Payload]]

# Histories of a saga.
NEW: Kinds = ()
PAID = (PAY,)
UNDONE = (PAY, CANCELLED)
UNDONE_UNHEARD_OF = (CANCELLED,)  # the compensation has overtaken the step

TAKEN: Kinds = [PaymentRequested, PaymentProcessed]
REFUSED: Kinds = [PaymentRequested, PaymentFailed]
GIVEN_BACK: Kinds = [PaymentRefunded]
BOOKED = {"captured": ["capture"], "refunded": ["capture", "refund"], "declined": [], None: []}


class Row(NamedTuple):
    card: str
    before: Kinds
    comes: type[Payload]
    says: Kinds
    amount: int | None  # in the last event
    payment: str | None


DECLINED: Kinds = [PaymentFailed]

TABLE = [
    Row(GOOD, NEW, PAY, TAKEN, TOTAL, "captured"),
    Row(BAD, NEW, PAY, REFUSED, None, "declined"),
    Row(GOOD, NEW, CANCELLED, GIVEN_BACK, 0, None),
    Row(GOOD, UNDONE_UNHEARD_OF, PAY, DECLINED, None, None),
    Row(GOOD, UNDONE_UNHEARD_OF, CANCELLED, GIVEN_BACK, 0, None),
    Row(GOOD, PAID, PAY, TAKEN, TOTAL, "captured"),
    Row(GOOD, PAID, CANCELLED, GIVEN_BACK, TOTAL, "refunded"),
    Row(GOOD, PAID, NO_ORDER, GIVEN_BACK, TOTAL, "refunded"),
    Row(BAD, PAID, PAY, DECLINED, None, "declined"),
    Row(BAD, PAID, CANCELLED, GIVEN_BACK, 0, "declined"),
    Row(BAD, UNDONE, PAY, DECLINED, None, "declined"),
    Row(BAD, UNDONE, CANCELLED, GIVEN_BACK, 0, "declined"),
    Row(GOOD, UNDONE, PAY, DECLINED, None, "refunded"),
    Row(GOOD, UNDONE, CANCELLED, GIVEN_BACK, TOTAL, "refunded"),
    Row(GOOD, UNDONE, NO_ORDER, GIVEN_BACK, TOTAL, "refunded"),
]


def _id(row: Row) -> str:
    return f"{row.card}: {', '.join(each.__name__ for each in row.before) or 'nothing'}; then {row.comes.__name__}"


class Money(Reacting):
    """pagos, by its tables."""

    def payment(self, checkout: Checkout) -> str | None:
        with self.transaction() as connection:
            return connection.scalar(select(payments.c.status).where(payments.c.saga_id == checkout.saga_id))

    def booked(self, checkout: Checkout) -> list[str]:
        """Return the ledger's entries of the saga's payment, in order."""
        booked = text("SELECT kind FROM ledger_transfers WHERE payment_id = :payment_id ORDER BY id")
        with self.transaction() as connection:
            return list(connection.scalars(booked, {"payment_id": checkout.payment_id}))


@pytest.fixture
def money(service_client: Callable[..., FlaskClient]) -> Money:
    return Money(service_client("pagos"))


@pytest.fixture
def http(service_client: Callable[..., FlaskClient]) -> Pagos:
    return Pagos(service_client("pagos"))


@pytest.mark.parametrize("row", TABLE, ids=_id)
def test_what_was_before_and_what_comes_decide_what_is_said_and_where_the_money_is(money: Money, row: Row) -> None:
    """The same event again publishes nothing."""
    checkout = Checkout(payment_method=row.card)
    for kind in row.before:
        money.says(checkout.says(kind))
    event = Event(checkout.says(row.comes))
    following = money.take([event])
    assert [type(each.payload) for each in following] == list(row.says)
    assert {each.cause for each in following} <= {event.id}
    assert getattr(following[-1].payload, "amount_minor", None) == row.amount if following else row.amount is None
    assert money.take([event]) == []
    assert money.payment(checkout) == row.payment
    assert money.booked(checkout) == BOOKED[row.payment]


class ByHand(NamedTuple):
    """What was requested over HTTP after some events, and what is published on another event."""

    card: str
    before: Kinds
    by_hand: Sequence[str]
    comes: type[Payload]
    says: Kinds


BY_HAND = [
    ByHand(GOOD, NEW, ["charge"], PAY, TAKEN),
    ByHand(BAD, NEW, ["charge"], PAY, DECLINED),
    ByHand(GOOD, NEW, ["refund"], PAY, DECLINED),
    ByHand(GOOD, NEW, ["charge", "refund"], PAY, DECLINED),
    ByHand(GOOD, NEW, ["charge"], CANCELLED, GIVEN_BACK),
    ByHand(GOOD, PAID, ["refund"], PAY, DECLINED),
    ByHand(GOOD, PAID, ["refund"], CANCELLED, GIVEN_BACK),
    ByHand(GOOD, PAID, ["refund"], NO_ORDER, GIVEN_BACK),
]


@pytest.mark.parametrize("case", BY_HAND)
def test_what_was_done_or_undone_by_hand_before_stops_no_saga(money: Money, http: Pagos, case: ByHand) -> None:
    checkout = Checkout(payment_method=case.card)
    for kind in case.before:
        money.says(checkout.says(kind))
    saga = Saga(TOTAL // 100, case.card)
    saga.saga_id, saga.payment_id = checkout.saga_id, checkout.payment_id
    named = {name: getattr(checkout, name) for name in ("saga_id", "cart_id", "payment_id", "user_id")}
    for what in case.by_hand:
        answer = http.charge(saga, **named) if what == "charge" else http.refund(saga)
        assert answer.status_code in {200, 201, 402}, answer.json
    assert [type(each) for each in money.says(checkout.says(case.comes))] == list(case.says)
    assert money.payment(checkout) != "captured" or case.says == TAKEN


def test_what_is_paid_is_said_with_its_amount_and_its_order(money: Money) -> None:
    checkout = Checkout()
    assert money.says(checkout.says(PAY)) == [checkout.says(PaymentRequested), checkout.says(PaymentProcessed)]


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("invalid_card", "the card is not valid"),
        ("declined_card", "the card's issuer declined it"),
        ("insufficient_funds", "the card's account does not hold enough"),
        ("wallet", "the wallet does not hold enough"),
    ],
)
def test_a_decline_is_said_with_its_reason(money: Money, method: str, why: str) -> None:
    checkout = Checkout(payment_method=method, user_id=new_user())
    assert money.says(checkout.says(PAY)) == [
        checkout.says(PaymentRequested),
        checkout.says(PaymentFailed, reason=why),
    ]


def test_a_payment_whose_id_is_anothers_is_not_taken_nor_the_other_given_back(money: Money) -> None:
    checkout = Checkout()
    taken = replace(Checkout(), payment_id=checkout.payment_id)
    money.says(checkout.says(PAY))
    assert [type(each) for each in money.says(taken.says(PAY))] == REFUSED
    assert money.says(taken.says(CANCELLED)) == [taken.says(PaymentRefunded)]
    assert (money.payment(checkout), money.payment(taken)) == ("captured", None)


@pytest.mark.parametrize("field", ["payment_id", "cart_id", "user_id", "payment_method", "quantity"])
def test_a_second_bill_that_differs_from_the_first_is_a_fault_and_takes_nothing(money: Money, field: str) -> None:
    checkout, other = Checkout(), Checkout(quantity=3, payment_method="credit_card", user_id=new_user())
    money.says(checkout.says(PAY))
    with pytest.raises(RepeatedOtherwise):
        money.says(replace(checkout, **{field: getattr(other, field)}).says(PAY))
    assert [type(each) for each in money.says(checkout.says(PAY))] == list(TAKEN)


def test_the_reason_is_passed_on(money: Money) -> None:
    paid, never = Checkout(), Checkout()
    money.says(paid.says(PAY))
    assert money.says(paid.says(CANCELLED)) == [paid.says(PaymentRefunded, amount_minor=TOTAL)]
    assert money.says(never.says(CANCELLED)) == [never.says(PaymentRefunded)]


def test_a_wallet_pays_and_gets_its_money_back(money: Money, http: Pagos) -> None:
    user = new_user()
    http.deposit(user, "25.00")
    checkout = Checkout(payment_method="wallet", user_id=user)
    money.says(checkout.says(PAY))
    assert http.balance(user) == Decimal("5.00")
    money.says(checkout.says(CANCELLED))
    assert http.balance(user) == Decimal("25.00")


def test_of_many_sagas_at_once_each_has_an_answer_of_its_own(money: Money, http: Pagos) -> None:
    """Two share a wallet with enough for one, one is declined, one compensated, one repeated."""
    user = new_user()
    http.deposit(user, "25.00")
    first, second = (Checkout(payment_method="wallet", user_id=user) for _ in range(2))
    declined, undone, again, fine = Checkout(payment_method=BAD), Checkout(), Checkout(), Checkout()
    money.says(undone.says(CANCELLED), again.says(PAY))
    said = money.says(*[each.says(PAY) for each in (first, declined, undone, second, again, fine)])
    assert {(each.saga_id, type(each)) for each in said} == {
        *[(first.saga_id, kind) for kind in TAKEN],
        *[(declined.saga_id, kind) for kind in REFUSED],
        *[(second.saga_id, kind) for kind in REFUSED],
        (undone.saga_id, PaymentFailed),
        *[(again.saga_id, kind) for kind in TAKEN],
        *[(fine.saga_id, kind) for kind in TAKEN],
    }
    assert http.balance(user) == Decimal("5.00")
    said = money.says(*[each.says(CANCELLED) for each in (second, undone, first, declined)])
    assert {each.saga_id: getattr(each, "amount_minor", None) for each in said} == {
        second.saga_id: 0,
        undone.saga_id: 0,
        first.saga_id: TOTAL,
        declined.saga_id: 0,
    }
    assert http.balance(user) == Decimal("25.00")
    assert money.payment(fine) == "captured"


def test_a_step_and_its_undoing_that_come_together_leave_nothing(money: Money) -> None:
    """In any order of handling."""
    one, other = Checkout(), Checkout()
    assert [type(each) for each in money.says(one.says(PAY), one.says(CANCELLED))] == [*TAKEN, *GIVEN_BACK]
    assert [type(each) for each in money.says(other.says(CANCELLED), other.says(PAY))] == [*GIVEN_BACK, PaymentFailed]
    assert (money.payment(one), money.payment(other)) == ("refunded", None)


def test_what_was_not_committed_has_not_happened(money: Money) -> None:
    """The worker died; the event comes again, as if for the first time."""
    checkout = Checkout()
    event = Event(checkout.says(PAY))
    assert money.take([event], dies=True) == []
    assert money.payment(checkout) is None
    assert [type(each.payload) for each in money.take([event])] == TAKEN
