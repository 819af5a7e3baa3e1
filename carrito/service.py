"""The use cases of orders; every one runs inside the caller's transaction. Those of carts are in `carts.py`.

Those of sagas take what many sagas ask for, each saga once, and return an outcome for each, in their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection, select

from carrito import carts, order_book
from carrito.domain import (
    CREATE_ORDER,
    CartEmpty,
    OrderCancelled,
    OrderNotFound,
    OrderOfSaga,
    OrderRequest,
    OrderStatus,
    mismatch,
    no_order,
    of_another,
    unusable,
)
from carrito.models import barrier, orders
from shared.barrier import Entry, Undo
from shared.batches import each_once, unless_refused
from shared.db import Row
from shared.errors import DomainError


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


def create_order(uow: Connection, requests: Sequence[OrderRequest], currency: str) -> list[Order | DomainError]:
    """Each saga's pending order of its cart, as frozen; an open cart is frozen. Answers a repeated request as before.

    Refusals: `Suspended`, `CartNotFound` (also for another user's cart), `CartNotOpen` naming the saga that has it,
    `CartEmpty`, and `OrderOfAnotherSaga` for an order id that is taken.
    """
    entries = barrier.enter(uow, CREATE_ORDER, [each.saga_id for each in requests])
    outcomes: dict[UUID, Order | DomainError] = {
        saga_id: entry for saga_id, entry in entries.items() if isinstance(entry, DomainError)
    }
    outcomes |= _create_first(uow, [each for each in requests if entries[each.saga_id] is Entry.FIRST], currency)
    repeated = [saga_id for saga_id, entry in entries.items() if entry is Entry.REPEATED]
    outcomes |= {row["saga_id"]: Order(row, first=False) for row in order_book.related(uow, repeated, [])}
    return [outcomes[each.saga_id] for each in requests]


def get_order(uow: Connection, order_id: UUID) -> Row:
    """One order; raises `OrderNotFound`."""
    row = uow.execute(select(orders).where(orders.c.id == order_id)).mappings().first()
    if row is None:
        raise no_order(order_id)
    return row


def orders_of_cart(uow: Connection, cart_id: UUID) -> Sequence[Row]:
    """The orders that a cart ever had, oldest first."""
    statement = select(orders).where(orders.c.cart_id == cart_id).order_by(orders.c.created_at, orders.c.id)
    return uow.execute(statement).mappings().all()


def sagas_of(uow: Connection, order_ids: Sequence[UUID]) -> dict[UUID, UUID | DomainError]:
    """The saga of each order, or `OrderNotFound`."""
    found = {row["id"]: row["saga_id"] for row in order_book.related(uow, [], order_ids)}
    return {order_id: found.get(order_id) or no_order(order_id) for order_id in order_ids}


def confirm_order(uow: Connection, asked: Sequence[OrderOfSaga]) -> list[Order | DomainError]:
    """Each saga's pending order is confirmed and its cart checked out, in one commit; a confirmed one stays so.

    Refusals: `OrderNotFound`, `OrderOfAnotherSaga`, `OrderCancelled`.
    """
    confirmed = order_book.confirm(uow, asked)
    rest = [each for each in asked if each.saga_id not in confirmed]
    related = order_book.related(uow, [each.saga_id for each in rest], [each.order_id for each in rest])
    of_saga, of_id = {row["saga_id"]: row for row in related}, {row["id"]: row for row in related}
    return [
        Order(confirmed[each.saga_id], first=True)
        if each.saga_id in confirmed
        else _not_confirmed(each, of_saga, of_id)
        for each in asked
    ]


def cancel_order(uow: Connection, asked: Sequence[OrderOfSaga]) -> list[Cancelled | DomainError]:
    """The compensation of `create_order`, also of a confirmed one; never twice. Its cart stays with the saga.

    An order that never came to be is None, and from now on it is refused. Refusals: `OrderOfAnotherSaga`.
    """
    undos = barrier.enter_undo(uow, CREATE_ORDER, [each.saga_id for each in asked])
    changed = order_book.cancel(uow, [each for each in asked if undos[each.saga_id] is Undo.FIRST])
    outcomes: dict[UUID, Cancelled | DomainError] = {
        saga_id: Cancelled(row, first=True) for saga_id, row in changed.items()
    }
    outcomes |= _nothing_cancelled(uow, [each for each in asked if each.saga_id not in changed], undos)
    return [outcomes[each.saga_id] for each in asked]


def _create_first(uow: Connection, requests: Sequence[OrderRequest], currency: str) -> dict[UUID, Order | DomainError]:
    """Orders that were never asked for; what is refused now is refused for ever."""
    created = each_once(requests, attrgetter("order_id"), lambda part: _create(uow, part, currency))
    outcomes = dict(zip((each.saga_id for each in requests), created, strict=True))
    barrier.refuse(
        uow, CREATE_ORDER, {saga_id: each for saga_id, each in outcomes.items() if isinstance(each, DomainError)}
    )
    return {
        saga_id: each if isinstance(each, DomainError) else Order(each, first=True)
        for saga_id, each in outcomes.items()
    }


def _create(uow: Connection, requests: Sequence[OrderRequest], currency: str) -> list[Row | DomainError]:
    """Most carts are frozen for their saga already; open ones have to be locked before they are read."""
    placed = order_book.place(uow, requests, currency)
    rest = [each for each in requests if each.saga_id not in placed]
    others = iter(each_once(rest, attrgetter("cart_id"), lambda part: _create_of_open(uow, part, currency)))
    return [placed[each.saga_id] if each.saga_id in placed else next(others) for each in requests]


def _create_of_open(uow: Connection, requests: Sequence[OrderRequest], currency: str) -> list[Row | DomainError]:
    locked = carts.lock(uow, [each.cart_id for each in requests])
    usable = [unusable(each, locked.get(each.cart_id)) or each for each in requests]
    return unless_refused(usable, lambda fit: _freeze_and_create(uow, fit, currency))


def _freeze_and_create(uow: Connection, requests: Sequence[OrderRequest], currency: str) -> list[Row | DomainError]:
    if not requests:
        return []
    placed = order_book.place(uow, requests, currency, open_too=True)
    carts.freeze(uow, {row["cart_id"]: saga_id for saga_id, row in placed.items()})
    empty = carts.empty_ones(uow, [each.cart_id for each in requests if each.saga_id not in placed])
    return [placed.get(each.saga_id) or _not_created(each, empty) for each in requests]


def _not_created(request: OrderRequest, empty: set[UUID]) -> DomainError:
    if request.cart_id in empty:
        return CartEmpty(f"cart {request.cart_id} is empty", cart_id=request.cart_id)
    return of_another(request.order_id)


def _not_confirmed(asked: OrderOfSaga, of_saga: Mapping[UUID, Row], of_id: Mapping[UUID, Row]) -> Order | DomainError:
    row = of_saga.get(asked.saga_id) if asked.order_id is None else of_id.get(asked.order_id)
    if row is None:
        what = f"of saga {asked.saga_id}" if asked.order_id is None else str(asked.order_id)
        return OrderNotFound(f"there is no order {what}", saga_id=asked.saga_id)
    wrong = mismatch(asked, [row])
    if wrong is not None:
        return wrong
    if row["status"] == OrderStatus.CONFIRMED:
        return Order(row, first=False)
    return OrderCancelled(f"order {row['id']} was cancelled", order_id=row["id"])


def _nothing_cancelled(
    uow: Connection, asked: Sequence[OrderOfSaga], undos: Mapping[UUID, Undo]
) -> dict[UUID, Cancelled | DomainError]:
    """Cancellations of what was never made, was cancelled before, or is not the saga's: that leaves no trace."""
    related = order_book.related(uow, [each.saga_id for each in asked], [each.order_id for each in asked])
    outcomes: dict[UUID, Cancelled | DomainError] = {}
    for each in asked:
        own = next((row for row in related if row["saga_id"] == each.saga_id), None)
        concerned = [row for row in related if row is own or row["id"] == each.order_id]
        outcomes[each.saga_id] = mismatch(each, concerned) or Cancelled(own, undos[each.saga_id] is not Undo.REPEATED)
    mistaken = [saga_id for saga_id, outcome in outcomes.items() if isinstance(outcome, DomainError)]
    barrier.withdraw(uow, CREATE_ORDER, {saga_id: undos[saga_id] for saga_id in mistaken})
    return outcomes
