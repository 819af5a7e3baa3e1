"""The use cases of orders; every one runs inside the caller's transaction. Those of carts are in `carts.py`.

Those of sagas take what many sagas ask for, each saga once, and return an outcome for each, in their order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection, select

from carrito import carts, checkout_store, order_store
from carrito.domain import (
    CREATE_ORDER,
    CheckoutNotFound,
    OrderCancelled,
    OrderNotFound,
    OrderOfSaga,
    OrderRequest,
    OrderStatus,
    begun_by_a_checkout,
    differs,
    freeze_for,
    mismatch,
    no_lines,
    no_order,
    of_another,
    unusable,
)
from carrito.models import barrier, orders
from shared.batching.partition import in_unique_batches
from shared.database.connections import Row
from shared.errors import DomainError
from shared.saga.barrier import ActionEntry, CompensationEntry
from shared.saga.repetition import contradiction
from shared.saga.standing import SagaStands


@dataclass(frozen=True)
class Order:
    """A saga's order, and whether what was asked for was done just now."""

    row: Row
    first: bool


@dataclass(frozen=True)
class Cancelled:
    """A saga's order, None if it never came to be; and whether the cancellation is new, also of none."""

    row: Row | None
    first: bool


def create_order(connection: Connection, requests: Sequence[OrderRequest], currency: str) -> list[Order | DomainError]:
    """Each saga's pending order, as its checkout was frozen; an open cart is frozen. Answers a repetition as before.

    Refusals: `RepeatedOtherwise` for a request that differs from the saga's checkout, what was paid included, or from
    its first request; `Suspended`, `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that
    has it, `CartEmpty`, and `OrderOfAnotherSaga` for an order id that is taken.
    """
    about = checkout_store.find(connection, [each.saga_id for each in requests])
    outcomes: dict[UUID, Order | DomainError] = {
        each.saga_id: wrong for each in requests if (wrong := differs(each, about.get(each.saga_id))) is not None
    }
    fit = [each for each in requests if each.saga_id not in outcomes]
    entries = barrier.enter_action(connection, CREATE_ORDER, {each.saga_id: each.named for each in fit})
    outcomes |= {saga_id: entry for saga_id, entry in entries.items() if isinstance(entry, DomainError)}
    first = [each for each in fit if entries[each.saga_id] is ActionEntry.FIRST]
    outcomes |= _create_first(connection, first, about.keys(), currency)
    repeated = [saga_id for saga_id, entry in entries.items() if entry is ActionEntry.REPEATED]
    outcomes |= {row["saga_id"]: Order(row, first=False) for row in order_store.related(connection, repeated, [])}
    return [outcomes[each.saga_id] for each in requests]


def get_checkout(connection: Connection, saga_id: UUID) -> Row:
    """What a saga is about; raises `CheckoutNotFound`."""
    found = checkout_store.find(connection, [saga_id])
    if saga_id not in found:
        raise CheckoutNotFound(f"no cart was ever frozen for saga {saga_id}", saga_id=saga_id)
    return found[saga_id]


def order_is_gone(connection: Connection, saga_id: UUID) -> bool:
    """Whether a saga's order was cancelled, or never will be made: it does not stand, and never will again."""
    for row in order_store.related(connection, [saga_id], []):
        return bool(row["status"] == OrderStatus.CANCELLED)
    return barrier.closed(connection, CREATE_ORDER, saga_id)


def get_order(connection: Connection, order_id: UUID) -> Row:
    """One order; raises `OrderNotFound`."""
    row = connection.execute(select(orders).where(orders.c.id == order_id)).mappings().first()
    if row is None:
        raise no_order(order_id)
    return row


def orders_of_cart(connection: Connection, cart_id: UUID) -> Sequence[Row]:
    """The orders that a cart ever had, oldest first."""
    statement = select(orders).where(orders.c.cart_id == cart_id).order_by(orders.c.created_at, orders.c.id)
    return connection.execute(statement).mappings().all()


def sagas_of(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, UUID | DomainError]:
    """The saga of each order, or `OrderNotFound`."""
    found = {row["id"]: row["saga_id"] for row in order_store.related(connection, [], order_ids)}
    return {order_id: found.get(order_id) or no_order(order_id) for order_id in order_ids}


def confirm_order(connection: Connection, commands: Sequence[OrderOfSaga]) -> list[Order | DomainError]:
    """Each saga's pending order is confirmed and its cart checked out, in one commit; a confirmed one stays so.

    Refusals: `OrderNotFound`, `OrderOfAnotherSaga`, `OrderCancelled`.
    """
    confirmed = order_store.confirm(connection, commands)
    rest = [each for each in commands if each.saga_id not in confirmed]
    related = order_store.related(connection, [each.saga_id for each in rest], [each.order_id for each in rest])
    of_saga, of_id = {row["saga_id"]: row for row in related}, {row["id"]: row for row in related}
    return [
        Order(confirmed[each.saga_id], first=True)
        if each.saga_id in confirmed
        else _not_confirmed(each, of_saga, of_id)
        for each in commands
    ]


def cancel_order(
    connection: Connection, commands: Sequence[OrderOfSaga], proven: Collection[UUID] | None = None
) -> list[Cancelled | DomainError]:
    """The compensation of `create_order`, also of a confirmed one; never twice. Its cart stays with the saga.

    An order that never came to be is None, and from now on it is refused. Refusals: `OrderOfAnotherSaga`;
    `RepeatedOtherwise` when the saga's checkout chose another order id; and `SagaStands` for an order that stands, of
    another saga than those of which it is `proven` that they turned back (None: all have).
    """
    about = checkout_store.find(connection, [each.saga_id for each in commands])
    outcomes: dict[UUID, Cancelled | DomainError] = {
        each.saga_id: wrong
        for each in commands
        if (wrong := contradiction(each.saga_id, "the checkout", about.get(each.saga_id, {}), each.named)) is not None
    }
    fit = [each for each in commands if each.saga_id not in outcomes]
    undos = barrier.enter_compensation(connection, CREATE_ORDER, {each.saga_id: {} for each in fit})
    first = [each for each in fit if undos[each.saga_id] is CompensationEntry.FIRST]
    if proven is not None:
        begun = [each.saga_id for each in first if begun_by_a_checkout(about.get(each.saga_id))]
        outcomes |= _standing(connection, [saga_id for saga_id in begun if saga_id not in proven], undos)
    changed = order_store.cancel(connection, [each for each in first if each.saga_id not in outcomes])
    outcomes |= {saga_id: Cancelled(row, first=True) for saga_id, row in changed.items()}
    outcomes |= _nothing_cancelled(connection, [each for each in commands if each.saga_id not in outcomes], undos)
    return [outcomes[each.saga_id] for each in commands]


def _create_first(
    connection: Connection, requests: Sequence[OrderRequest], known: Collection[UUID], currency: str
) -> dict[UUID, Order | DomainError]:
    """Orders that were never requested; what is refused now is refused for ever. `known` sagas have a checkout."""
    frozen = [each for each in requests if each.saga_id in known]
    placed = order_store.place(connection, frozen)
    outcomes: dict[UUID, Row | DomainError] = {
        each.saga_id: placed.get(each.saga_id) or of_another(each.order_id) for each in frozen
    }
    unknown = [each for each in requests if each.saga_id not in known]
    create = partial(_create_without_checkout, connection, currency=currency)
    outcomes |= zip(
        (each.saga_id for each in unknown), in_unique_batches(unknown, attrgetter("cart_id"), create), strict=True
    )
    barrier.refuse(
        connection, CREATE_ORDER, {each: found for each, found in outcomes.items() if isinstance(found, DomainError)}
    )
    return {
        saga_id: found if isinstance(found, DomainError) else Order(found, first=True)
        for saga_id, found in outcomes.items()
    }


def _create_without_checkout(
    connection: Connection, requests: Sequence[OrderRequest], currency: str
) -> list[Row | DomainError]:
    """Orders of open carts, each of another cart, which are frozen for them; nothing is kept of what is refused."""
    locked = carts.lock(connection, [each.cart_id for each in requests])
    refused = {
        each.saga_id: why_not for each in requests if (why_not := unusable(each, locked.get(each.cart_id))) is not None
    }
    fit = [each for each in requests if each.saga_id not in refused]
    frozen = checkout_store.freeze(connection, [freeze_for(each) for each in fit], currency)
    refused |= {each.saga_id: no_lines(each.cart_id) for each in fit if each.cart_id not in frozen}
    full = [each for each in fit if each.saga_id not in refused]
    placed = order_store.place(connection, full)
    taken = [each for each in full if each.saga_id not in placed]
    checkout_store.unfreeze(connection, [each.saga_id for each in taken])
    refused |= {each.saga_id: of_another(each.order_id) for each in taken}
    return [refused.get(each.saga_id) or placed[each.saga_id] for each in requests]


def _not_confirmed(command: OrderOfSaga, of_saga: Mapping[UUID, Row], of_id: Mapping[UUID, Row]) -> Order | DomainError:
    row = of_saga.get(command.saga_id) if command.order_id is None else of_id.get(command.order_id)
    if row is None:
        what = f"of saga {command.saga_id}" if command.order_id is None else str(command.order_id)
        return OrderNotFound(f"there is no order {what}", saga_id=command.saga_id)
    wrong = mismatch(command, [row])
    if wrong is not None:
        return wrong
    if row["status"] == OrderStatus.CONFIRMED:
        return Order(row, first=False)
    return OrderCancelled(f"order {row['id']} was cancelled", order_id=row["id"])


def _standing(
    connection: Connection, saga_ids: Sequence[UUID], undos: Mapping[UUID, CompensationEntry | DomainError]
) -> dict[UUID, SagaStands]:
    """The refusals for those of these sagas whose order stands; they leave no trace."""
    standing = [
        row["saga_id"]
        for row in order_store.related(connection, saga_ids, [])
        if row["status"] != OrderStatus.CANCELLED
    ]
    barrier.withdraw(connection, CREATE_ORDER, {saga_id: undos[saga_id] for saga_id in standing})
    return {saga_id: SagaStands(saga_id, "the order") for saga_id in standing}


def _nothing_cancelled(
    connection: Connection, commands: Sequence[OrderOfSaga], undos: Mapping[UUID, CompensationEntry | DomainError]
) -> dict[UUID, Cancelled | DomainError]:
    """Cancellations of what was never made, was cancelled before, or is not the saga's: that leaves no trace."""
    related = order_store.related(connection, [each.saga_id for each in commands], [each.order_id for each in commands])
    outcomes: dict[UUID, Cancelled | DomainError] = {}
    for each in commands:
        own = next((row for row in related if row["saga_id"] == each.saga_id), None)
        concerned = [row for row in related if row is own or row["id"] == each.order_id]
        outcomes[each.saga_id] = mismatch(each, concerned) or Cancelled(
            own, undos[each.saga_id] is not CompensationEntry.REPEATED
        )
    mistaken = [saga_id for saga_id, outcome in outcomes.items() if isinstance(outcome, DomainError)]
    barrier.withdraw(connection, CREATE_ORDER, {saga_id: undos[saga_id] for saga_id in mistaken})
    return outcomes
