"""The same event again with one field changed, for every event that a participant handles and every field.

It is refused, so that it becomes a dead letter, or its field is one that says nothing of the checkout, and it is
answered as a repetition. Either way it changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from shared.errors import Conflict, NotFound
from shared.event_bus import (
    Backward,
    CheckoutCancelRequested,
    CheckoutInitiated,
    InventoryCommitFailed,
    InventoryCommitted,
    InventoryReleased,
    InventoryReserved,
    InventoryReserveFailed,
    Item,
    OrderCancelled,
    OrderCreated,
    OrderCreateFailed,
    Payload,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
)
from shared.ids import new_id
from shared.saga.repetition import RepeatedOtherwise
from tests.integration.inventario_client import Inventario, Saga
from tests.integration.reacting import Carts, Checkout, Reacting, of

QUANTITY = 10
# What happened before each event, by service.
BEFORE: Mapping[str, Mapping[type[Payload], Sequence[type[Payload]]]] = {
    "inventario": {
        CheckoutInitiated: [],
        OrderCreated: [CheckoutInitiated],
        PaymentFailed: [CheckoutInitiated],
        PaymentRefunded: [CheckoutInitiated, OrderCreated],
        CheckoutCancelRequested: [CheckoutInitiated, OrderCreated],
    },
    "pagos": {
        InventoryReserved: [],
        OrderCancelled: [InventoryReserved],
        OrderCreateFailed: [InventoryReserved],
    },
    "carrito": {
        PaymentProcessed: [],
        InventoryCommitted: [PaymentProcessed],
        InventoryCommitFailed: [PaymentProcessed],
        InventoryReserveFailed: [],
        InventoryReleased: [PaymentProcessed, InventoryCommitFailed],
    },
}
# Fields that no effect follows from: why a saga turned back, who requested it, and how much was refunded elsewhere.
TOLD_ONLY = {"reason", "by", "amount_minor"}
# A deadline and then a person may ask for the same cancellation, each in his own right.
OTHER_REQUESTS = {(CheckoutCancelRequested, "only_before_pivot")}
EFFECTS = {
    "inventario": ["SELECT status, order_id FROM reservations WHERE saga_id = :saga_id"],
    "pagos": ["SELECT id, status, amount_minor, refunded_minor FROM payments WHERE saga_id = :saga_id"],
    "carrito": [
        "SELECT id, status, total_minor FROM orders WHERE saga_id = :saga_id",
        "SELECT id, status, saga_id FROM carts WHERE id = :cart_id",
    ],
}
CASES = [
    (service, kind, field)
    for service, events in BEFORE.items()
    for kind in events
    for field in kind.model_fields
    if field != "saga_id" and (kind, field) not in OTHER_REQUESTS
]
# On the way back, inventario and pagos go by the saga's id alone: what somebody else requested under it first, for
# another cart, must not keep the saga from its end. carrito, which knows the saga's cart, compares it.
TOLD = [
    (service, kind, field)
    for service, kind, field in CASES
    if issubclass(kind, Backward) and (field in TOLD_ONLY or service != "carrito")
]
REFUSED = [case for case in CASES if case not in TOLD]


def _id(value: object) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", str(value))


def other(value: Any) -> Any:
    """Return another value of the same type."""
    match value:
        case UUID():
            return new_id()
        case int():
            return value + 1
        case str():
            return {"paypal": "credit_card", "EUR": "USD"}.get(value, f"{value} too")
    (item,) = value
    return (Item(product_id=item.product_id, quantity=item.quantity + 1),)


class Participant:
    """A service with one checkout, as its worker runs it."""

    def __init__(self, service: str, client: FlaskClient) -> None:
        self.service, self.client = service, client
        self.reacting = Carts(client) if service == "carrito" else Reacting(client)
        self.checkout = self._begun()

    def _begun(self) -> Checkout:
        if isinstance(self.reacting, Carts):
            return of(self.reacting.begin(self.reacting.open(1, 2)).payload)
        if self.service == "inventario":
            return Checkout(Inventario(self.client).add(QUANTITY))
        return Checkout()

    def says(self, fact: Payload) -> list[type[Payload]]:
        return [type(each) for each in self.reacting.says(fact)]

    def effects(self) -> list[Any]:
        """Return what the events did, and the stock of its product."""
        ids = {"saga_id": self.checkout.saga_id, "cart_id": self.checkout.cart_id}
        with self.reacting.transaction() as connection:
            rows = [connection.execute(text(each), ids).all() for each in EFFECTS[self.service]]
        stock = Inventario(self.client).stock(self.checkout.product_id) if self.service == "inventario" else None
        return [*rows, stock]

    def after(self, kind: type[Payload]) -> Payload:
        """Let what comes before this event happen, and the event; return it."""
        for each in (*BEFORE[self.service][kind], kind):
            self.says(self.checkout.says(each))
        return self.checkout.says(kind)


@pytest.fixture
def participant(service: str, service_client: Callable[..., FlaskClient]) -> Participant:
    return Participant(service, service_client(service))


@pytest.mark.parametrize("service", BEFORE)
def test_no_event_is_missing_here(service: str) -> None:
    handled = import_module(f"{service}.event_handlers").EVENT_HANDLERS
    assert {kind for kind in handled if kind.is_fact or kind is CheckoutCancelRequested} == set(BEFORE[service])


@pytest.mark.parametrize(("service", "kind", "field"), REFUSED, ids=_id)
def test_the_same_event_with_another_value_is_refused_and_changes_nothing(
    participant: Participant, kind: type[Payload], field: str
) -> None:
    event = participant.after(kind)
    before = participant.effects()
    changed = event.model_copy(update={field: other(getattr(event, field))})
    with pytest.raises((Conflict, NotFound)):  # another id may be one that there is not
        participant.says(changed)
    assert participant.effects() == before


@pytest.mark.parametrize(("service", "kind", "field"), TOLD, ids=_id)
def test_what_is_only_told_makes_no_other_event(participant: Participant, kind: type[Payload], field: str) -> None:
    event = participant.after(kind)
    before, repeated = participant.effects(), participant.says(event)
    assert participant.says(event.model_copy(update={field: other(getattr(event, field))})) == repeated
    assert participant.effects() == before


@pytest.mark.parametrize("service", ["inventario"])
@pytest.mark.parametrize("sold", [False, True])
def test_what_was_reserved_by_hand_is_sold_for_one_order(participant: Participant, *, sold: bool) -> None:
    """Whoever reserved it named no order, so that the first sale for one decides."""
    checkout, http = participant.checkout, Inventario(participant.client)
    saga = Saga(checkout.saga_id, checkout.cart_id)
    assert http.reserve(saga, {checkout.product_id: checkout.quantity}).status_code == 201
    if sold:
        assert http.commit(saga).status_code == 200
    event = checkout.says(OrderCreated)
    repeated = participant.says(event)
    before = participant.effects()
    with pytest.raises(RepeatedOtherwise, match=r"commit_inventory of saga .* with another order_id"):
        participant.says(event.model_copy(update={"order_id": new_id()}))
    assert participant.effects() == before
    assert participant.says(event) == repeated
